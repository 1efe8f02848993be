"""An edge inside a Python program, by ctypes: reads token strings, a line each, and says what may be done with them.
After `hold TOKEN` it says so again when it is no longer true.

usage: embed.py SERVICE [SCOPE]        (the library is found as the dynamic linker finds it: LD_LIBRARY_PATH, ldconfig)
"""
import ctypes
import sys

OK, MISS = 0, 1
ADMIT, DENY = 1, 2
WORKSPACE, TOKEN_ID, OWNER, SCOPES = 1, 2, 3, 4


class Options(ctypes.Structure):
    """tollgate_edge_options, as of this version of <tollgate/edge_c.h>."""
    _fields_ = [
        ("struct_size", ctypes.c_size_t),
        ("id", ctypes.c_char_p), ("service", ctypes.c_char_p),
        ("service_ca", ctypes.c_char_p), ("service_cert", ctypes.c_char_p), ("service_key", ctypes.c_char_p),
        ("service_spiffe_id", ctypes.c_char_p), ("service_host_name", ctypes.c_char_p), ("brand", ctypes.c_char_p),
        ("service_tls", ctypes.c_int32), ("allow_plaintext", ctypes.c_int32),
        ("fail_open", ctypes.c_int32), ("reserved", ctypes.c_int32),
        ("fail_open_for_ms", ctypes.c_int64), ("drift_bound", ctypes.c_double),
        ("cache_entries", ctypes.c_int64), ("unknown_entries", ctypes.c_int64),
        ("max_questions", ctypes.c_int64), ("max_waiting", ctypes.c_int64),
        ("resolve_timeout_ms", ctypes.c_int64), ("longest_backoff_ms", ctypes.c_int64),
        ("log", ctypes.c_void_p), ("log_context", ctypes.c_void_p),
        ("max_holds", ctypes.c_int64),
    ]


ON_END = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_int32)


def load(name="libtollgate-edge.so.0"):
    library = ctypes.CDLL(name)
    handle, text, size, i32, i64 = (ctypes.c_void_p, ctypes.c_char_p, ctypes.c_size_t, ctypes.c_int32, ctypes.c_int64)
    for function, result, arguments in [
            ("start", i32, [ctypes.POINTER(Options), ctypes.POINTER(handle), text, size]),
            ("wait_until_live", i32, [handle, i64]),
            ("stop", i32, [handle, i64]),
            ("free", None, [handle]),
            ("describe", text, [i32]),
            ("requirement_new", handle, [ctypes.POINTER(text), size, ctypes.POINTER(text), size, text]),
            ("requirement_free", None, [handle]),
            ("decision_new", handle, []),
            ("decision_free", None, [handle]),
            ("decision_verdict", i32, [handle]),
            ("decision_reason", i32, [handle]),
            ("decision_text", size, [handle, i32, text, size]),
            ("check", i32, [handle, text, size, handle, handle]),
            ("check_blocking", i32, [handle, text, size, handle, i64, handle]),
            ("hold_blocking", i32, [handle, text, size, handle, i64, ON_END, handle, handle, ctypes.POINTER(handle)]),
            ("hold_good", i32, [handle]),
            ("hold_free", None, [handle])]:
        symbol = getattr(library, "tollgate_edge_" + function)
        symbol.restype, symbol.argtypes = result, arguments
    return library


class Hold:
    """What an admission let in, for as long as it stays open. Close it when that is closed."""

    def __init__(self, lib, on_end):
        self.lib = lib
        self.hold = ctypes.c_void_p()
        # The edge calls it on a thread of its own. It lives as long as the hold does: ctypes does not see to that.
        self.on_end = ON_END(lambda _, reason: on_end(lib.tollgate_edge_describe(reason).decode()))

    def good(self):
        return bool(self.lib.tollgate_edge_hold_good(self.hold))

    def close(self):
        """Waits for on_end where another thread is in it."""
        hold, self.hold = self.hold, ctypes.c_void_p()
        self.lib.tollgate_edge_hold_free(hold)


class Edge:
    """One a process, and one of its own in every forked worker (gunicorn: in post_fork, not before)."""

    def __init__(self, id, service, scopes=()):
        self.lib = load()
        self.edge = ctypes.c_void_p()
        message = ctypes.create_string_buffer(512)
        options = Options(struct_size=ctypes.sizeof(Options), id=id.encode(), service=service.encode())
        if self.lib.tollgate_edge_start(options, self.edge, message, len(message)) != OK:
            raise RuntimeError(message.value.decode())
        needed = (ctypes.c_char_p * len(scopes))(*[scope.encode() for scope in scopes])
        self.requirement = self.lib.tollgate_edge_requirement_new(needed, len(scopes), None, 0, None)

    def wait_until_live(self, seconds):
        return bool(self.lib.tollgate_edge_wait_until_live(self.edge, int(seconds * 1000)))

    def check(self, token_string, seconds=3):
        """(verdict, reason or workspace and token id); other threads run on meanwhile."""
        decision = self.lib.tollgate_edge_decision_new()
        try:
            code = self.lib.tollgate_edge_check_blocking(
                self.edge, token_string, len(token_string), self.requirement, int(seconds * 1000), decision)
            if code != OK:
                raise RuntimeError(f"check: code {code}")
            return self.words(decision)
        finally:
            self.lib.tollgate_edge_decision_free(decision)

    def hold(self, token_string, on_end, seconds=3):
        """As check, and a Hold where it is admitted: on_end gets the reason when it is no longer good."""
        decision = self.lib.tollgate_edge_decision_new()
        hold = Hold(self.lib, on_end)
        try:
            code = self.lib.tollgate_edge_hold_blocking(
                self.edge, token_string, len(token_string), self.requirement, int(seconds * 1000), hold.on_end, None,
                decision, hold.hold)
            if code != OK:
                raise RuntimeError(f"hold: code {code}")
            return self.words(decision), hold if hold.hold else None
        finally:
            self.lib.tollgate_edge_decision_free(decision)

    def words(self, decision):
        verdict = self.lib.tollgate_edge_decision_verdict(decision)
        if verdict == ADMIT:
            return "admit", f"{self.text(decision, WORKSPACE)} {self.text(decision, TOKEN_ID)}"
        reason = self.lib.tollgate_edge_describe(self.lib.tollgate_edge_decision_reason(decision)).decode()
        return ("deny" if verdict == DENY else "unavailable"), reason

    def text(self, decision, field):
        buffer = ctypes.create_string_buffer(self.lib.tollgate_edge_decision_text(decision, field, None, 0) + 1)
        self.lib.tollgate_edge_decision_text(decision, field, buffer, len(buffer))
        return buffer.value.decode()

    def stop(self):
        """Says goodbye; whether the service has heard it."""
        heard = bool(self.lib.tollgate_edge_stop(self.edge, 2000))
        self.lib.tollgate_edge_requirement_free(self.requirement)
        self.lib.tollgate_edge_free(self.edge)
        return heard


def main():
    edge = Edge("examples/embed-python", sys.argv[1], sys.argv[2:3])
    print("live" if edge.wait_until_live(30) else "not live", flush=True)
    holds = []
    for line in sys.stdin.buffer:
        line = line.rstrip(b"\n")
        if line.startswith(b"hold "):
            answer, hold = edge.hold(line[len(b"hold "):], lambda reason: print("ended", reason, flush=True))
            holds.append(hold)
            print(*answer, flush=True)
        else:
            print(*edge.check(line), flush=True)
    heard = edge.stop()
    for hold in filter(None, holds):
        hold.close()
    return 0 if heard else 1


if __name__ == "__main__":
    sys.exit(main())
