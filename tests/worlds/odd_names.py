"""Names of folders and files that libraries take for URLs, patterns, SQL or something else than a name."""

from hypothesis import strategies as st

NAMES = (
    "my home", "it's", 'qu"ote', "st*r", "{brace}", "é", "e\u0301", "日本", "$HOME", "~t", "a&b+c;d", "`x`", "<y>",
    "a:b=c,@!", "#1", "what?", "50%", "my%20home", "%5Ba%5D", "my [1]", "a^b|c", "back\\slash", "-rf", "file:a",
)  # fmt: skip
LETTERS = "ab '\"#%205B?&+;[]*{}\\$~é日`<>|^=@:,()!-\u0301"


def odd_names() -> st.SearchStrategy[str]:
    """Names of up to a dozen odd letters that are names, and no URLs."""
    names = st.text(st.sampled_from(LETTERS), min_size=1, max_size=12)
    return st.one_of(st.sampled_from(NAMES), names.filter(lambda name: "://" not in name and "%00" not in name))
