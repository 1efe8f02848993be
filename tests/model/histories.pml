/* Two histories of one epoch (R19 of docs/enforcement.md), to be searched exhaustively.
 *
 * One token T, good at first, revoked once, and one validator, which is the witness. A copy of the
 * store is taken at any time and put back once. I1: after the service has declared the revocation
 * enforced, the validator never admits T, though the store that was put back holds T as good.
 * And nobody stops a service whose history is whole: where nothing is put back, it never stops.
 *
 * A commit's fingerprint is a fresh number, since it is chained over all commits before: it stands
 * for the whole past. The lease's arithmetic is enforcement.pml's; here a lease is granted by an
 * exchange and may run out at any time.
 *
 * A configuration switches parts on:
 *   PUT_BACK    the service is killed, the copy put back, and the service started on it
 *   MEMORY      the process is resumed together with its memory: no start, no new term
 *   CLONE       the copy is started beside the service, and may answer questions (Resolve)
 *   RESTARTS n  how often the service may be killed and started otherwise
 *   NEW_PROCESS the validator may be killed and started, with what its state folder kept
 *   COMPACT     fingerprints may be dropped, up to the head
 * A mutation takes one part of the rule out: NO_PROOF (numbers alone), NO_FINGERPRINT (terms alone),
 * NO_TERM (fingerprints alone), NO_FOLDER, LATE_PROOF (no proof comes with the events, or it is kept
 * after the acknowledgement), ANY_TERM (answers of another term are used). tests/model/check runs
 * all of it.
 */
#ifndef RESTARTS
#define RESTARTS 0
#endif
#ifndef MAXR
#define MAXR 6   /* revisions */
#endif

#define NONE 0

/* The store: of each revision the fingerprint and the term. */
byte head = 1;
byte fingerprint[MAXR + 1];
byte term_of[MAXR + 1];
byte kept_from = 1;        /* fingerprints are kept from here on */
byte t_at = NONE;          /* T is revoked as of this revision of this store; 0: T is good */

/* The service. */
byte term = 1;             /* of the running process */
byte terms = 1;            /* random, so a new one each */
byte fingerprints = 1;
bool stopped = false;      /* grants nothing, commits nothing (R11) */
byte restarts = 0;

/* The copy. */
bool copied = false;
bool put_back = false;
byte copy_head, copy_t_at;
bool clone = false;        /* it runs */
byte clone_term;

/* The stream, which ends with either process. */
bool connected = false;
byte sent;
byte acked = 0;            /* by the validator, to this process */

/* The validator. */
byte applied = 0;
bool lease = false;
bool cached = true;        /* T is held as good */
byte stream_term;          /* told by Welcome */
byte proof_revision = 0, proof_fingerprint, proof_term;   /* 0: none */
bool asked = false, answered = false, answer_good;
byte need, answer_revision, answer_term;

bool said_enforced = false;  /* ghost */

#define ROOM (head < MAXR)

inline Commit() {
  head++;
  fingerprints++;
  fingerprint[head] = fingerprints;
  term_of[head] = term
}

inline Prove(revision) {
  proof_revision = revision;
  proof_fingerprint = fingerprint[revision];
  proof_term = term_of[revision]
}

inline StartService() {
  terms++;
  term = terms;
  connected = false;
  acked = 0;
  stopped = false;
  Commit()
}

/* 0: equal, or nothing to compare; 1: a contradiction. */
#if defined(NO_PROOF)
#define CONTRADICTS (applied > head)
#elif defined(NO_FINGERPRINT)
#define CONTRADICTS \
  (proof_revision > head || (proof_revision > 0 && term_of[proof_revision] != proof_term))
#elif defined(NO_TERM)
#define CONTRADICTS \
  (proof_revision > head || (proof_revision >= kept_from && fingerprint[proof_revision] != proof_fingerprint))
#else
#define CONTRADICTS                                                                            \
  (proof_revision > head ||                                                                    \
   (proof_revision >= kept_from && fingerprint[proof_revision] != proof_fingerprint) ||         \
   (proof_revision > 0 && proof_revision < kept_from && term_of[proof_revision] != proof_term))
#endif

proctype Service() {
  do
  :: atomic { !stopped && ROOM && head < 4 -> Commit() }
  :: atomic { !stopped && ROOM && t_at == NONE && !put_back && !said_enforced -> Commit(); t_at = head }
  :: atomic { t_at != NONE && !said_enforced && acked >= t_at -> said_enforced = true }
#ifdef COMPACT
  :: atomic { kept_from < head -> kept_from = head }
#endif
#if RESTARTS > 0
  :: atomic { restarts < RESTARTS && ROOM -> restarts++; StartService() }
#endif
  /* Copy, put back. */
  :: atomic { !copied -> copied = true; copy_head = head; copy_t_at = t_at }
#ifdef PUT_BACK
  :: atomic { copied && !put_back && ROOM ->
       put_back = true;
       head = copy_head; t_at = copy_t_at;
       if
       :: kept_from > head -> kept_from = head
       :: else -> skip
       fi;
       StartService() }
#endif
#ifdef MEMORY
  :: atomic { copied && !put_back && term_of[copy_head] == term ->
       put_back = true;
       head = copy_head; t_at = copy_t_at;
       if
       :: kept_from > head -> kept_from = head
       :: else -> skip
       fi;
       connected = false; acked = 0; stopped = false }
#endif
#ifdef CLONE
  :: atomic { copied && !clone -> clone = true; terms++; clone_term = terms }
#endif
  od
}

proctype Validator() {
  do
  /* Hello, judged; Welcome. */
  :: atomic { !connected ->
       if
       :: CONTRADICTS -> stopped = true
       :: else ->
            connected = true;
            stream_term = term;
            if
            :: proof_revision == 0 || applied == 0 ->  /* a fresh process: reset */
                 cached = false; applied = head; sent = head; need = head
            :: else -> sent = applied
            fi
       fi }

  /* An event, with its proof. */
  :: connected && !stopped && sent < head ->
       atomic { connected && !stopped && sent < head ->
         sent++;
         if
         :: sent == t_at -> cached = false; need = sent   /* R12 */
         :: else -> skip
         fi;
         applied = sent;
#ifndef LATE_PROOF
         Prove(sent)
#endif
       }

  /* A ping and its pong: the acknowledgement, a lease, a proof. */
  :: atomic { connected && !stopped ->
       acked = applied;
       lease = true;
#ifndef LATE_PROOF
       Prove(applied)
#endif
     }
#ifdef LATE_PROOF
  :: atomic { connected && !stopped && applied > 0 -> Prove(applied) }
#endif
  :: atomic { lease -> lease = false }

  /* A question on another connection, which reaches whoever is at that address. */
  :: atomic { connected && !cached && !asked -> asked = true; answered = false; need = applied }
  :: atomic { asked && !answered && !stopped ->
       answered = true; answer_good = (t_at == NONE); answer_revision = head; answer_term = term }
#ifdef CLONE
  :: atomic { asked && !answered && clone ->
       answered = true; answer_good = (copy_t_at == NONE); answer_revision = copy_head + 3; answer_term = clone_term }
#endif
  :: atomic { asked && answered ->
       asked = false; answered = false;
#ifdef ANY_TERM
       cached = (answer_good && answer_revision >= need && connected)
#else
       cached = (answer_good && answer_revision >= need && connected && answer_term == stream_term)
#endif
     }

#ifdef NEW_PROCESS
  :: atomic { connected = false; lease = false; cached = false; asked = false; answered = false; applied = 0;
       acked = 0;
#ifdef NO_FOLDER
       proof_revision = 0
#endif
     }
#endif

  /* The decision. */
  :: atomic { said_enforced && cached && lease -> assert(false) }
  od
}

init {
  atomic {
    fingerprint[1] = 1;
    term_of[1] = 1;
    run Service();
    run Validator();
#if !defined(PUT_BACK) && !defined(MEMORY)
    do
    :: stopped -> assert(false)
    od
#endif
  }
}
