"""Prints vectors.json: values as the cache seals them, by another implementation than the one under test.

    python3 vectors.py > vectors.json      needs the package cryptography
"""

import hashlib, json, struct
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF, HKDFExpand

PURPOSE = b"pgsession cache v1 entry"


def part(b):
    return struct.pack(">I", len(b)) + b


def vector(name, seed, namespace, token, version, times, data):
    master = hashlib.sha256(seed).digest()
    ident = hashlib.sha256(token).digest()
    key_id = HKDF(SHA256(), 4, None, b"pgsession cache v1 key id").derive(master)
    root = HKDF(SHA256(), 32, None, b"pgsession cache v1 root").derive(master)
    key = HKDFExpand(SHA256(), 32, PURPOSE + ident).derive(root)
    header = b"\x01" + key_id + struct.pack(">qqqq", version, *times)
    aad = part(PURPOSE) + part(namespace) + ident + header
    nonce = hashlib.sha256(b"nonce " + name).digest()[:12]
    sealed = header + nonce + AESGCM(key).encrypt(nonce, data, aad)
    return {
        "name": name.decode(), "master": master.hex(), "namespace": namespace.decode(), "id": ident.hex(),
        "version": version, "validated_at": times[0], "expires_at": times[1], "absolute_expires_at": times[2], "data": data.hex(),
        "key_id": key_id.hex(), "key": key.hex(), "aad": aad.hex(), "value": sealed.hex(),
    }


print(json.dumps([
    vector(b"plain", b"one", b"pgsession:", b"token", 7, (1800000000123456, 1800003600000000, 1800086400000000), b'{"user":42}'),
    vector(b"empty", b"one", b"pgsession:", b"another", 1, (0, 0, 0), b""),
    vector(b"largest version, early times", b"two", b"a", b"token", 2**63 - 1, (-1, -62135596800000000, 1), bytes(range(256))),
    vector(b"past 2^53", b"three", b"n" * 128, b"token", 2**53 + 1, (2**53 + 1, 2**53 + 2, 2**53 + 3), b"x" * 400),
], indent=1))
