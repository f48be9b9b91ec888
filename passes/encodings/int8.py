"""int8 and int8_asym: one byte a weight, one scale an output row."""

from __future__ import annotations

from passes.encodings.integers import IntegerEncoding

INT8 = IntegerEncoding("int8", -127, 127)
INT8_ASYM = IntegerEncoding("int8_asym", 0, 255)
