/* The lease and acknowledgement protocol of docs/enforcement.md, to be searched exhaustively.
 *
 * One token T, good at first, cached by every validator, revoked once. I1: after the service has
 * declared the revocation enforced, no decision that begins (reads the lease) admits T.
 *
 * A configuration switches parts on (a large model is several small ones):
 *   VALIDATORS n   how many                    LEASE n     in ticks, at least 2
 *   RESTART        the service may crash once  MAXT n      where time ends
 *   OTHER          another event before T's    STREAMS 2   a validator may reconnect once, its old stream half-open
 *   RESOLVE        the cache is filled by questions on another connection
 *   SHORTER        after its restart the service is configured with a shorter lease
 *   NARROW         channels hold less, and a decision is one step: for two validators
 * A mutation takes one rule out: NO_R1, NO_R2, NO_R3, NO_R5, NO_R7, NO_R8, NO_R9, NO_R9_START (of
 * R9 what a start does), NO_R10, NO_R11, NO_R12, NO_R13, NO_R15. tests/model/check runs all of it.
 */
#ifndef VALIDATORS
#define VALIDATORS 1
#endif
#ifndef LEASE
#define LEASE 2
#endif
#ifndef MAXT
#define MAXT 6
#endif
#ifndef STREAMS
#define STREAMS 1
#endif
#ifdef SHORTER
#define LEASE_AFTER (LEASE - 1)
#else
#define LEASE_AFTER LEASE
#endif

#ifdef NO_R5
#define HOLD LEASE_AFTER
#else
#define HOLD LEASE
#endif

#define V VALIDATORS
#define CH(v, s) ((v) * STREAMS + (s))
#define NONE 255

mtype = { hello, ping, welcome, event, pong };
mtype = { about_t, about_other };

/* Up: kind, applied revision. Down: kind, revision, lease (0: none), content. */
#ifdef NARROW
chan up[V * STREAMS] = [1] of { mtype, byte };
chan down[V * STREAMS] = [2] of { mtype, byte, byte, mtype };
#else
chan up[V * STREAMS] = [2] of { mtype, byte };
chan down[V * STREAMS] = [3] of { mtype, byte, byte, mtype };
#endif

byte now = 0;

/* The store. R7: what is visible is durable; without it a crash takes back `head` to `durable`. */
byte head = 0;
byte durable = 0;
mtype content[3];             /* of revisions 1 and 2 */
byte t_revision = 0;          /* where T was revoked; 0: not yet */

/* The service's memory: one session a validator (its incarnation lives through the model). */
bool restarted = false;
byte enforced_floor = 0;      /* R9: no grant below it */
byte life[V];                 /* until when it may hold a lease: the service's view */
byte acked[V];
bool rostered[V];             /* durable (R15) */
bool open[V * STREAMS];       /* the service's end of a stream, greeted */
byte sent[V * STREAMS];
byte grant_lease = LEASE;

bool said_enforced = false;   /* ghost: the receipt has been given */

#define MAX(a, b) ((a) > (b) -> (a) : (b))
#define MIN(a, b) ((a) < (b) -> (a) : (b))

#ifdef NO_R10
/* Counts what was sent as if it had been applied. */
#define ACKED(v) MAX(acked[v], sent[CH(v, STREAMS - 1)])
#else
#define ACKED(v) acked[v]
#endif
#define OVER(v) (life[v] <= now || ACKED(v) >= t_revision)
#if VALIDATORS == 2
#define ALL_OVER (OVER(0) && OVER(1))
#else
#define ALL_OVER OVER(0)
#endif

#if VALIDATORS == 2
#define NOBODY_LIVES (life[0] <= now && life[1] <= now)
#else
#define NOBODY_LIVES (life[0] <= now)
#endif

proctype Clock() {
  do
  :: atomic { now < MAXT -> now++ }
  :: now == MAXT -> break
  od
}

#ifdef RESOLVE
chan answers[V] = [1] of { byte, bool };  /* revision, good */
byte need[V];
bool asking[V];

/* Reads one snapshot, whenever it likes. */
proctype Resolver(byte v) {
  do
  :: atomic { asking[v] && empty(answers[v]) -> answers[v] ! durable, (t_revision == 0) }
  od
}
#endif

/* The service's end of one stream. */
proctype Session(byte v; byte s) {
  byte revision;
  do
  :: atomic { up[CH(v, s)] ? [hello, _] ->
       up[CH(v, s)] ? hello, revision;
       open[CH(v, s)] = true;
       rostered[v] = true;           /* durable before the first grant */
#ifdef NO_R3
       life[v] = 0;
#endif
#ifdef NO_R11
       sent[CH(v, s)] = head;        /* goes on with what is new */
#else
       sent[CH(v, s)] = revision;    /* applied + 1 comes next */
#endif
       down[CH(v, s)] ! welcome, head, 0, about_other;
       revision = 0 }
  :: atomic { open[CH(v, s)] && nfull(down[CH(v, s)]) && up[CH(v, s)] ? [ping, _] ->
       up[CH(v, s)] ? ping, revision;
       acked[v] = MAX(acked[v], MIN(revision, sent[CH(v, s)]));
#ifdef NO_R8
       revision = head;              /* the head, though not all of it was sent */
#else
       revision = sent[CH(v, s)];
#endif
       if
#ifdef NO_R9
       :: true ->
#else
       :: revision >= enforced_floor ->
#endif
            life[v] = MAX(life[v], now + grant_lease);
            down[CH(v, s)] ! pong, revision, grant_lease, about_other
#ifndef NO_R9
       :: else -> down[CH(v, s)] ! pong, revision, 0, about_other
#endif
       fi;
       revision = 0 }
  :: atomic { open[CH(v, s)] && sent[CH(v, s)] < head && nfull(down[CH(v, s)]) ->
       sent[CH(v, s)] = sent[CH(v, s)] + 1;
       down[CH(v, s)] ! event, sent[CH(v, s)], 0, content[sent[CH(v, s)]] }
  od
}

proctype Service() {
  byte v, s;
  do
#ifdef OTHER
  :: atomic { head == 0 ->
       head = 1; content[1] = about_other;
#ifndef NO_R7
       durable = 1
#endif
     }
#ifdef NO_R7
  :: atomic { durable < head -> durable = head }
#endif
#endif
  :: atomic { t_revision == 0 ->
       head++; content[head] = about_t; t_revision = head; durable = head }

  /* The receipt (R14). */
  :: atomic { t_revision != 0 && !said_enforced && ALL_OVER ->
       enforced_floor = MAX(enforced_floor, t_revision);
       said_enforced = true }

#ifdef RESTART
  /* A crash, and a start from what is durable. What was sent may still arrive; what comes is lost. */
  :: atomic { !restarted ->
       restarted = true;
       head = durable;
       for (v : 0 .. V - 1) {
         acked[v] = 0;
         if
#ifndef NO_R15
         :: rostered[v] -> life[v] = now + HOLD
#endif
         :: else -> life[v] = 0    /* nobody knows of it */
         fi;
         for (s : 0 .. STREAMS - 1) {
           open[CH(v, s)] = false;
           sent[CH(v, s)] = 0;
           do
           :: up[CH(v, s)] ? _, _
           :: empty(up[CH(v, s)]) -> break
           od
         }
       }
       v = 0; s = 0;
#ifdef NO_R9_START
       /* What the start itself declares: all, or nothing while one of the roster may hold a lease. */
       if
       :: NOBODY_LIVES -> enforced_floor = durable
       :: else -> enforced_floor = 0
       fi;
#else
       enforced_floor = durable;   /* R9: after a start, the durable head */
#endif
       grant_lease = LEASE_AFTER }
#endif
  od
}

proctype Validator(byte v) {
  byte s = 0;               /* the stream in use */
  bool greeted = false;     /* Hello is out on it */
  bool welcomed = false;
  byte applied = 0;
  byte lease = 0;
  byte ping_at = NONE;      /* when the unanswered ping was sent; NONE: none is out */
#ifdef RESOLVE
  bool cached = false;
#else
  bool cached = true;       /* T is held as good, as of revision 0 */
#endif
  byte revision, length;
  bool good;
  mtype about;
#ifndef NARROW
  /* A decision in two steps (R13). */
  bool deciding = false;
  bool live, entry, began_after;
#endif

  do
  /* Connects; with STREAMS 2 once more, while what is on the old stream still reaches the service. */
  :: atomic { !greeted && nfull(up[CH(v, s)]) ->
       up[CH(v, s)] ! hello, applied; greeted = true }
#if STREAMS == 2
  :: atomic { greeted && s == 0 ->
       s = 1; greeted = false; welcomed = false; ping_at = NONE }
#endif
#ifdef RESTART
  /* The service crashed: the same stream, anew. */
  :: atomic { restarted && greeted && !open[CH(v, s)] && empty(up[CH(v, s)]) && empty(down[CH(v, s)]) ->
       greeted = false; welcomed = false; ping_at = NONE }
#endif

  :: atomic { welcomed && ping_at == NONE && nfull(up[CH(v, s)]) ->
       ping_at = now; up[CH(v, s)] ! ping, applied }

  :: atomic { down[CH(v, s)] ? welcome, revision, length, about ->
       welcomed = true;
#ifdef NO_R2
       applied = revision   /* moves what it grants nothing for */
#endif
     }
  :: atomic { down[CH(v, s)] ? event, revision, length, about ->
       if
       :: revision > applied ->
            if
            :: about == about_t ->
                 cached = false;
#ifdef RESOLVE
                 need[v] = MAX(need[v], revision)
#endif
            :: else -> skip
            fi;
            applied = revision
       :: else -> skip
       fi }
  :: atomic { down[CH(v, s)] ? pong, revision, length, about ->
       if
       :: length > 0 && ping_at != NONE ->
#ifdef NO_R1
            lease = MAX(lease, now + length)
#else
            lease = MAX(lease, ping_at + length)
#endif
       :: else -> skip
       fi;
       applied = MAX(applied, revision);
       ping_at = NONE }

#ifdef RESOLVE
  :: atomic { !cached && !asking[v] && welcomed -> asking[v] = true; need[v] = applied }
  :: atomic { answers[v] ? revision, good ->
       asking[v] = false;
#ifdef NO_R12
       cached = good
#else
       cached = (good && revision >= need[v])
#endif
     }
#endif

  /* The decision. */
#if defined(NARROW)
  :: atomic { said_enforced && cached && lease > now -> assert(false) }
#elif defined(NO_R13)
  :: atomic { !deciding -> deciding = true; entry = cached }
  :: atomic { deciding -> live = (lease > now); began_after = said_enforced;
       deciding = false;
       assert(!(live && entry && began_after)) }
#else
  :: atomic { !deciding && lease > now ->
       deciding = true; live = true; began_after = said_enforced }
  :: atomic { deciding -> entry = cached; deciding = false;
       assert(!(live && entry && began_after)) }
#endif
  od
}

init {
  atomic {
    byte i;
    run Clock();
    run Service();
    for (i : 0 .. V - 1) {
      run Validator(i);
      run Session(i, 0);
#if STREAMS == 2
      run Session(i, 1);
#endif
#ifdef RESOLVE
      run Resolver(i);
#endif
    }
  }
}
