"""One pass over a head, byte by byte: the form that mypyc turns into a C loop."""

from mypy_extensions import i64

from proxy.wire.fields import Fields
from proxy.wire.grammar import CONNECTION, CONTENT_LENGTH, HOST, NOTED, SEVERAL, TARGET, TOKEN, VALUE


def request(fields: Fields, data: bytes, end: i64, headers_max: i64) -> bool:
    """Check the grammar of `data[:end]`, a request head up to its blank line, and report known fields."""
    token = TOKEN
    target = TARGET
    i: i64 = 0
    c: i64 = data[0]
    while token[c]:
        i += 1
        c = data[i]
    if c != 32 or i == 0:
        return False
    fields.method = data[:i]
    i += 1
    start: i64 = i
    c = data[i]
    while target[c]:
        i += 1
        c = data[i]
    if c != 32 or i == start or data[i : i + 8] != b" HTTP/1.":
        return False
    fields.target = data[start:i]
    minor: i64 = data[i + 8]
    # The CRLF and the blank line after the head keep these offsets inside the data.
    if (minor != 48 and minor != 49) or data[i + 9] != 13 or data[i + 10] != 10:
        return False
    fields.minor = minor - 48
    fields.line_end = i + 11
    return _lines(fields, data, i + 11, end, headers_max)


def response(fields: Fields, data: bytes, end: i64, headers_max: i64) -> bool:
    """Check the grammar of `data[:end]`, a response head up to its blank line, and report known fields."""
    value = VALUE
    if end < 14 or data[:7] != b"HTTP/1." or data[8] != 32:
        return False
    minor: i64 = data[7]
    a: i64 = data[9]
    b: i64 = data[10]
    c: i64 = data[11]
    if (minor != 48 and minor != 49) or a < 49 or a > 53 or b < 48 or b > 57 or c < 48 or c > 57:
        return False
    fields.minor = minor - 48
    fields.status = (a - 48) * 100 + (b - 48) * 10 + (c - 48)
    i: i64 = 12
    c = data[12]
    if c == 32:
        while value[c]:
            i += 1
            c = data[i]
    if c != 13 or data[i + 1] != 10:
        return False
    fields.line_end = i + 2
    return _lines(fields, data, i + 2, end, headers_max)


def head_end(data: bytes, start: i64) -> i64:
    """The offset of the blank line's CR behind `start`; 1 while the head is incomplete."""
    stop: i64 = len(data)
    i: i64 = start + 3
    while i < stop:
        c: i64 = data[i]
        if c == 10:
            if data[i - 2] == 10 and data[i - 1] == 13 and data[i - 3] == 13:
                return i - 1
            i += 2
        elif c == 13:
            i += 1
        else:
            # Neither CR nor LF here: no blank line ends before the next four.
            i += 4
    return 1


def chunk_size(data: bytes, start: i64, end: i64) -> i64:
    """The number in `data[start:end]`, 1 to 15 hexadecimal digits; -1 when it is none."""
    if start == end or end - start > 15:
        return -1
    size: i64 = 0
    i: i64 = start
    while i < end:
        c: i64 = data[i]
        if 48 <= c <= 57:
            size = (size << 4) + c - 48
        else:
            c |= 32
            if c < 97 or c > 102:
                return -1
            size = (size << 4) + c - 87
        i += 1
    return size


def size_end(data: bytes, start: i64) -> i64:
    """Where the hexadecimal digits at `start` end, if CRLF follows them; otherwise -1."""
    end: i64 = len(data) - 1
    i: i64 = start
    while i < end:
        c: i64 = data[i]
        if c == 13:
            return i if data[i + 1] == 10 else -1
        if c < 48 or (c > 57 and ((c | 32) < 97 or (c | 32) > 102)):
            return -1
        i += 1
    return -1


def _lines(fields: Fields, data: bytes, i: i64, end: i64, headers_max: i64) -> bool:
    """The field lines `data[i:end]`. Each loop stops at a CR at the latest, and the last line has one."""
    token = TOKEN
    value = VALUE
    name_filter = fields.name_filter
    kinds = fields.kinds
    names = fields.names
    name_kinds = fields.name_kinds
    left: i64 = headers_max
    while i < end:
        if left == 0:
            return False
        left -= 1
        start: i64 = i
        c: i64 = data[i]
        letter: i64 = c & 31
        while token[c]:
            i += 1
            c = data[i]
        length: i64 = i - start
        if c != 58 or length == 0:
            return False
        colon: i64 = i
        i += 1
        c = data[i]
        while value[c]:
            i += 1
            c = data[i]
        if c != 13 or data[i + 1] != 10:
            return False
        if length > 63:
            length = 63
        number: i64 = name_filter[(letter << 6) | length]
        if number:
            kind: i64 = 0
            if number == SEVERAL:
                kind = kinds.get(data[start:colon].lower(), 0)
            elif _is_name(data, start, names[number - 1]):
                kind = name_kinds[number - 1]
            if kind == CONTENT_LENGTH:
                if not fields.sized(_number(data, colon + 1, i)):
                    return False
            elif kind == HOST:
                if not fields.hosted(data[colon + 1 : i]):
                    return False
            elif kind == NOTED:
                if fields.noted_value is None:
                    fields.noted_value = _stripped(data, colon + 1, i)
            elif kind == CONNECTION and i - colon == 12 and _is_name(data, colon + 1, b" keep-alive"):
                # Half of all clients send it, and it asks for what is done anyway.
                fields.keep_alive = True
                fields.cuts.append(start)
                fields.cuts.append(i + 2)
            elif kind != 0 and not fields.special(kind, data, start, colon + 1, i):
                return False
        i += 2
    return True


def _is_name(data: bytes, start: i64, name: bytes) -> bool:
    """Whether a token of the length of `name`, which is lower-case, is that name in any case."""
    i: i64 = len(name) - 1
    while i >= 0:
        # No two characters of tokens become the same letter, digit or hyphen by this.
        if (data[start + i] | 32) != name[i]:
            return False
        i -= 1
    return True


def _stripped(data: bytes, start: i64, end: i64) -> bytes:
    """`data[start:end]` without the white space around it."""
    while start < end and (data[start] == 32 or data[start] == 9):
        start += 1
    while end > start and (data[end - 1] == 32 or data[end - 1] == 9):
        end -= 1
    return data[start:end]


def _number(data: bytes, start: i64, end: i64) -> i64:
    """The decimal number in `data[start:end]`, perhaps with spaces around it; -1 if none or too long."""
    while start < end and data[start] == 32:
        start += 1
    while end > start and data[end - 1] == 32:
        end -= 1
    if start == end or end - start > 18:
        return -1
    number: i64 = 0
    while start < end:
        c: i64 = data[start]
        if c < 48 or c > 57:
            return -1
        number = number * 10 + c - 48
        start += 1
    return number
