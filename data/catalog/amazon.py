"""The Amazon reviews of 2018 in the catalog, one entry for each category."""

from data import readers
from data.fetch.sources import Entry, Part, Parts, StandIn, Table
from data.readers import amazon

_HOME = "https://cseweb.ucsd.edu/~jmcauley/datasets/amazon_v2/"
_FILES = "https://mcauleylab.ucsd.edu/public_datasets/data/amazon_v2"

# The publisher's categories: a short name, the name in its files, and how many reviews
# it states for the 5-core, in which every user and every product has five or more.
CATEGORIES = (
    ("fashion", "AMAZON_FASHION", 3_176),
    ("beauty", "All_Beauty", 5_269),
    ("appliances", "Appliances", 2_277),
    ("arts", "Arts_Crafts_and_Sewing", 494_485),
    ("automotive", "Automotive", 1_711_519),
    ("books", "Books", 27_164_983),
    ("cds", "CDs_and_Vinyl", 1_443_755),
    ("phones", "Cell_Phones_and_Accessories", 1_128_437),
    ("clothing", "Clothing_Shoes_and_Jewelry", 11_285_464),
    ("music", "Digital_Music", 169_781),
    ("electronics", "Electronics", 6_739_590),
    ("gift-cards", "Gift_Cards", 2_972),
    ("grocery", "Grocery_and_Gourmet_Food", 1_143_860),
    ("home", "Home_and_Kitchen", 6_898_955),
    ("scientific", "Industrial_and_Scientific", 77_071),
    ("kindle", "Kindle_Store", 2_222_983),
    ("luxury-beauty", "Luxury_Beauty", 34_278),
    ("magazines", "Magazine_Subscriptions", 2_375),
    ("movies", "Movies_and_TV", 3_410_019),
    ("instruments", "Musical_Instruments", 231_392),
    ("office", "Office_Products", 800_357),
    ("garden", "Patio_Lawn_and_Garden", 798_415),
    ("pets", "Pet_Supplies", 2_098_325),
    ("pantry", "Prime_Pantry", 137_788),
    ("software", "Software", 12_805),
    ("sports", "Sports_and_Outdoors", 2_839_940),
    ("tools", "Tools_and_Home_Improvement", 2_070_831),
    ("toys", "Toys_and_Games", 1_828_971),
    ("games", "Video_Games", 497_577),
)


def _entry(short: str, stem: str, reviews: int) -> Entry:
    title = f"Amazon reviews 2018, {stem.replace('_', ' ').lower()}, 5-core"
    parts = Parts(
        parts=(
            Part(url=f"{_FILES}/categoryFilesSmall/{stem}_5.json.gz"),
            Part(url=f"{_FILES}/metaFiles2/meta_{stem}.json.gz"),
        ),
        reader=amazon.reader_of(f"{stem}_5.json.gz", f"meta_{stem}.json.gz"),
    )
    return Entry(
        name=f"amazon-2018-{short}",
        title=title,
        publisher=_HOME,
        licence="none stated",
        terms=(
            f"{title}: the publisher states no licence; the texts are those of Amazon "
            "and its users, so use them for research and do not pass them on. "
            "Publications cite: J. Ni, J. Li and J. McAuley (2019), Justifying "
            "Recommendations using Distantly-Labeled Reviews and Fine-Grained Aspects, "
            "EMNLP, https://doi.org/10.18653/v1/D19-1018"
        ),
        sources=(parts,),
        files=(
            Table(
                name=readers.INTERACTIONS,
                columns=amazon.INTERACTION_COLUMNS,
                rows=reviews,
            ),
            Table(name=readers.ITEMS, columns=amazon.ITEM_COLUMNS),
        ),
        stand_in=_stand_in(short),
    )


def _stand_in(short: str) -> StandIn:
    return StandIn(
        folder=f"amazon-{short}",
        files=amazon.POSITION_FILES,
        tables=(
            Table(name=readers.INTERACTIONS, columns=amazon.POSITION_COLUMNS),
            Table(name=readers.ITEMS, columns=amazon.ITEM_COLUMNS),
        ),
        reader=amazon.write_positions,
        told=(
            "a version without ratings and times, in which a place in the user's order "
            "is all that is known of time"
        ),
    )


AMAZON_2018 = tuple(_entry(*category) for category in CATEGORIES)
