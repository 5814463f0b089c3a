"""From fitted models to published servables."""
