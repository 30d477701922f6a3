"""Pure codecs between bytes and domain words; they survive any split of the bytes.

Imports `domain` only. Read `strict_json` (one reading for everybody), then `dialect` (what a
dialect must offer), then one dialect, for example `chat`.
"""
