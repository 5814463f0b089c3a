"""Columns that name what users did, and what was only shown to them."""

import numpy as np

from data.init.columns import YES, Profile
from data.init.labels import Positives, is_label_name
from data.init.wording import percent
from data.init.words import means, words_of

MAX_EVENTS, MAX_CODES = 50, 10

STRENGTHS = {
    3: """
        purchase purchased buy bought order ordered transaction checkout conversion
        convert converted payment paid book booked booking rent rented install
        download kauf achat compra subscribe subscription
    """,
    2: """
        cart addtocart add_to_cart basket add_to_basket wishlist add_to_wishlist fav
        favorite favourite favorites bookmark save saved collect like liked love loved
        share shared follow followed comment commented repost retweet reply upvote
        thumbs_up thumbsup up yes true complete completed finish finished listen
        listened play played watch watched read rate rated rating review positive lead
        apply register enroll add
    """,
    1: """
        view viewed pageview page_view product_view detail detail_view pv click
        clicked visit visited browse browsed open opened search hover preview select
        start
    """,
    0: """
        impression impressions show shown display displayed expose exposed exposure
        skip skipped dislike disliked hide hidden ignore remove removed
        remove_from_cart removefromcart unlike unfollow return returned refund
        refunded cancel cancelled canceled report downvote thumbs_down thumbsdown down
        no false negative delete reject rejected pass close
    """,
}
CODED = {"event", "behavior", "behaviour", "action", "interaction", "activity"}
STRENGTH = {word: level for level, words in STRENGTHS.items() for word in words.split()}
WEIGHTS = {3: 3.0, 2: 2.0, 1: 1.0, 0: 1.0}


def find_event(columns: list[Profile], has_names: bool) -> Profile | None:
    """Return the column that names kinds of events; None if there is none."""
    for column in columns:
        if not 2 <= column.distinct <= MAX_EVENTS or column.holds_several:
            continue
        named = has_names and means(column.name, "event")
        if column.is_numeric:
            words = set(words_of(column.name))
            if named and words & CODED and column.distinct <= MAX_CODES:
                return column
            continue
        known = column.share_with({v for v in column.values if strength(v) is not None})
        if column.is_yes_no:  # Of many things; a like by its name only.
            known *= has_names and is_label_name(column.name)
        if known > 0.5 or (named and known > 0):
            return column
    return None


def strength(event: str) -> int | None:
    """Return how much an event says: 3 bought, 2 chosen, 1 looked at, 0 refused.

    None for a name that is not known.
    """
    words = tuple(word for word in words_of(event) if word not in ("item", "product"))
    joined = ("".join(words), "_".join(words))
    for name in (event.strip().lower(), *joined):
        if name in STRENGTH:
            return STRENGTH[name]
    levels = [STRENGTH[word] for word in words if word in STRENGTH]
    if not levels:
        return None
    return 0 if 0 in levels else max(levels)


def event_positives(event: Profile) -> Positives:
    """Return the events that are positives: the strong ones, if there are any."""
    levels = {str(value): strength(str(value)) for value in event.values}
    best = max((level for level in levels.values() if level is not None), default=0)
    least = min(best, 2)
    order = np.argsort(-event.counts, kind="stable")
    names = [str(event.values[place]) for place in order]
    strong = tuple(n for n in names if (levels[n] or 0) >= least and levels[n])
    shares = ", ".join(
        f"{name} {percent(event.counts[place] / event.rows)}"
        for name, place in zip(names[:8], order, strict=False)
    )
    share = percent(event.share_with(set(strong)) * (1 - event.gaps))
    unknown = [name for name in names if levels[name] is None]
    why = f"of the events are {shares}; {share} are positives"
    if not strong:
        why = (
            f"of the events are {shares}; what they mean is not known, so that every "
            f"one is a positive; list those that are: positive = [{names[-1]!r}]"
        )
    elif unknown:
        why += f"; not known, so not positive: {', '.join(map(repr, unknown[:5]))}"
    weights = {name: WEIGHTS[levels[name] or 0] for name in strong}
    if len(set(weights.values())) == 1:
        weights = {}
    return Positives(positive=strong, weights=weights, why=why)


def find_impression(
    columns: list[Profile], label: Profile | None, positives: Positives | None
) -> tuple[Profile, bool] | None:
    """Return a yes-or-no column that marks what was only shown.

    Out: the column, and whether rows that it marks are positives as well, so that it
    says nothing about what was not chosen; None if there is no such column.
    """
    named = [c for c in columns if means(c.name, "impression") and c.is_yes_no]
    if not named:
        return None
    column = named[0]
    if label is None or positives is None or not isinstance(positives.positive, str):
        return column, False
    bound = float(positives.positive.removeprefix(">= "))
    chosen = np.append(label.numbers >= bound, False)[label.codes]
    yes = np.array([str(v).strip().lower() in YES for v in column.values])
    marked = np.append(yes, False)[column.codes]
    return column, bool((chosen & marked).sum() > 0.01 * marked.sum())
