"""What a column's name says, in whatever case and style it is written.

A name is cut into words: `userId`, `USER_ID`, `User-ID`, `user_id:token` and `userid`
all are "user" and "id". A hint is the number of such a reading, higher is plainer; a
name alone never decides where the values say something else.
"""

import re
from functools import lru_cache
from typing import Literal

Meaning = Literal[
    "user",
    "item",
    "time",
    "label",
    "count",
    "event",
    "weight",
    "impression",
    "order",
    "context",
    "available",
    "unavailable",
    "title",
    "id",
    "aggregate",
    "amount",
    "personal",
    "code",
    "year",
]

WORDS: dict[Meaning, str] = {
    "user": """
        user u usr uid users customer cust client visitor member reviewer viewer
        listener reader account profile buyer shopper subscriber player patient
        student consumer household guest person cookie learner passenger tourist
        worker employee fullvisitor candidate applicant kunde kunden nutzer benutzer
        cliente usuario utilisateur gebruiker session sess visit
    """,
    "item": """
        item i itm iid product prod movie film book track song artist album article sku
        asin isbn business restaurant game app video news story content recipe hotel
        listing property course job poi venue place location ad creative stock goods
        show anime manga beer wine document doc page post tweet paper joke podcast
        episode offer photo media merchandise mid pid material program programme
        station playlist channel url link title series brand shop store event gid vid
        artikel produkt producto produit titel libro livre buch dish food drug dataset
        repo repository subreddit thread question answer lecture exercise destination
        attraction apartment room car vacancy ticket deal coupon
    """,
    "time": """
        time timestamp ts date datetime at when unix epoch utc dt dat day moment
        created clicked occurred watched viewed bought purchased rated reviewed datum
        zeit zeitpunkt fecha heure tstamp stamp timeframe
    """,
    "label": """
        rating rate rated ratings score stars star label like liked likes target
        overall preference pref thumbs thumb vote y grade satisfaction feedback val
        value response click clicked clk click_flag engaged watch_ratio reward
        bewertung note long_view interested recommended
    """,
    "count": """
        count counts cnt plays play playcount listens listencount scrobbles n num freq
        frequency times hours hour minutes mins seconds secs playtime watchtime
        quantity qty units amount sum total purchases views visits clicks duration
        dwell runtime number menge anzahl
    """,
    "event": """
        event action behavior behaviour activity type kind interaction verb operation
        act
    """,
    "weight": """
        weight importance w sampleweight wt
    """,
    "impression": """
        impression shown displayed exposed exposure impressed served seen impressions
    """,
    "order": """
        position pos order rank seq sequence step index idx nth place ordinal
    """,
    "context": """
        device platform os browser channel weekday daypart hour season weather
        referrer referer source medium client network app_version agent surface
        placement screen locale language lang country region city state province
        market tab page_type domain dow holiday mobile
    """,
    "available": """
        available availability instock active enabled servable live published sellable
        visible onsale
    """,
    "unavailable": """
        unavailable discontinued deleted removed hidden disabled outofstock inactive
        archived blocked soldout expired
    """,
    "title": """
        title name headline titel nombre titre label caption subject heading
    """,
    "id": """
        id ids key code no nr num number hash uuid guid index idx pk identifier token
        ref isbn isbn10 isbn13 ean upc gtin asin barcode sku imdb tmdb md5 sha uri
        slug
    """,
    "aggregate": """
        rating ratings average avg mean votes vote reviews review popularity popular
        views plays likes sales sold revenue downloads listeners scrobbles score
        playcount num_ratings followers rank ranking clicks impressions purchases
        orders conversions
    """,
    "amount": """
        price cost amount total quantity qty revenue value usd eur paid sum tax
        discount fee fare spend income salary budget preis precio prix
    """,
    "personal": """
        name email mail phone mobile address street surname lastname firstname
        username login password ip birthday birthdate
    """,
    "code": """
        zip zipcode postcode postal plz code area region cluster segment occupation
        class category group type status level tier flag genre sex gender department
        brand section color colour cat subcategory
    """,
    "year": """
        year yr jahr ano annee
    """,
}
VOCABULARY: dict[Meaning, frozenset[str]] = {
    meaning: frozenset(words.split()) for meaning, words in WORDS.items()
}
ID_WORDS = frozenset(
    (
        *("id", "ids", "key", "code", "no", "nr", "num", "number", "hash", "uuid"),
        *("guid", "index", "idx", "pk", "identifier", "ref"),
    )
)
TYPED = re.compile(r"^(.*):(token|token_seq|float|float_seq)$")
PARTS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-zß-öø-ÿ]+|\d+|[^\W\d_]+")
ENDINGS = ("ids", "id", "code", "key", "hash", "uuid", "number", "num", "no", "name")


def typed_name(name: str) -> tuple[str, str | None]:
    """Part a name such as `genre:token_seq` into the name and RecBole's type."""
    match = TYPED.match(name.strip())
    return (match[1], match[2]) if match else (name.strip(), None)


@lru_cache(maxsize=4096)
def words_of(name: str) -> tuple[str, ...]:
    """Cut a column's name into lower-case words: `reviewerID` is reviewer, id."""
    words: list[str] = []
    for part in PARTS.findall(typed_name(name)[0]):
        words += _cut(part.lower())
    return tuple(words)


def _cut(word: str) -> list[str]:
    """Cut `visitorid` and `stockcode` where a known word ends."""
    known = VOCABULARY["user"] | VOCABULARY["item"]
    if word in known or word in ID_WORDS:
        return [word]
    for ending in ENDINGS:
        start = word.removesuffix(ending)
        if start != word and start in known:
            return [start, ending]
    return [word]


def means(name: str, meaning: Meaning) -> bool:
    """Tell whether one of a name's words, or all of them joined, has a meaning."""
    words = words_of(name)
    joined = {"".join(words), "_".join(words)}
    return bool(VOCABULARY[meaning] & {*words, *joined})


def entity_hint(name: str, meaning: Literal["user", "item"]) -> int:
    """Return how plainly a name is that of an id: 0 not at all, 3 plainly.

    3: `user_id`, `asin`; 2: `user`, `track`; 1: `user_name`, `movie_title`; 0:
    `user_age`, and whatever names nothing known.
    """
    words = words_of(name)
    known = VOCABULARY[meaning]
    others = [word for word in words if word not in known]
    if not words or len(others) == len(words):
        return 0
    if any(word not in ID_WORDS | VOCABULARY["title"] for word in others):
        return 0
    if any(word in VOCABULARY["title"] for word in words) and words != ("title",):
        return 1
    return 3 if others or {"asin", "sku", "isbn", "uid", "iid"} & set(words) else 2
