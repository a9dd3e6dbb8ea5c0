"""English names of the commonest languages on the web, by the codes of fastText's lid.176."""

NAMES = {
    code: name
    for code, _, name in (
        entry.strip().partition(" ")
        for entry in (
            "ar Arabic, az Azerbaijani, bg Bulgarian, bn Bengali, bs Bosnian, ca Catalan, ceb Cebuano, cs Czech, "
            "da Danish, de German, el Greek, en English, eo Esperanto, es Spanish, et Estonian, eu Basque, fa Persian, "
            "fi Finnish, fr French, gl Galician, he Hebrew, hi Hindi, hr Croatian, hu Hungarian, hy Armenian, "
            "id Indonesian, is Icelandic, it Italian, ja Japanese, ka Georgian, kk Kazakh, ko Korean, la Latin, "
            "lt Lithuanian, lv Latvian, mk Macedonian, mr Marathi, ms Malay, nl Dutch, nn Norwegian Nynorsk, "
            "no Norwegian, pl Polish, pt Portuguese, ro Romanian, ru Russian, sk Slovak, sl Slovenian, sq Albanian, "
            "sr Serbian, sv Swedish, sw Swahili, ta Tamil, te Telugu, th Thai, tl Tagalog, tr Turkish, uk Ukrainian, "
            "ur Urdu, uz Uzbek, vi Vietnamese, zh Chinese"
        ).split(",")
    )
}


def language_name(code: str) -> str:
    """`English (en)`; the code alone where the language has no name here."""
    if not code:
        return "none recognised"
    return f"{NAMES[code]} ({code})" if code in NAMES else code
