"""TensorFlow Serving's JSON dialect: request text to arrays, arrays to response text.

Free of TensorFlow. Every failure is a `StatusError`; upstream's wording is kept, since
clients match on it. Texts are `str` in which bytes that are not UTF-8 stand as lone
surrogates (`surrogateescape`), so that they pass through unchanged.
"""
