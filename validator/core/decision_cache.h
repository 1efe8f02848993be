// What a validator holds about tokens: one flat region addressed by offsets, without pointers and
// without an allocation per entry, so that it can lie in shared memory.
//
// There are three tables of fixed slots: grants of the usual size, large grants, and strings known
// to be unknown. A table is a run of sets of 8 slots. The keyed hash of the *public id* chooses the
// set, so an event about a token id finds every entry that it may be about without an index, and
// nobody can choose ids that crowd a set. The keyed 128-bit hash of the whole string identifies the
// string; the string itself is held nowhere. Beside each table lie its marks: one more byte of each
// slot's hashed id, the bytes of a set in one word. A look-up reads the one line of its set's marks
// and the one slot that they point at, or none. A mark is a hint and never proof: only the slot
// itself says what it holds.
//
// Readers never lock. Each slot is a sequence lock: its sequence is odd while the slot is written.
// All shared words are atomics. A store that a reader may see carries release, and a load acquire;
// that orders payload and sequence without fences (TSan knows no fences). A torn or lost read is a
// miss, never a denial.
#ifndef TOLLGATE_VALIDATOR_CORE_DECISION_CACHE_H_
#define TOLLGATE_VALIDATOR_CORE_DECISION_CACHE_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "base/random.h"
#include "token/cohort.h"
#include "token/token_string.h"
#include "tollgate/v1/edge_service.pb.h"
#include "tollgate/v1/event.pb.h"
#include "validator/core/decision.h"

namespace tollgate::validator {

// The key of a token string in the cache and the resolver. Holds nothing secret.
struct TokenKey {
  uint64_t hash[2] = {0, 0};  // SipHash-2-4-128 of the string
  uint64_t id_tag = 0;        // SipHash-2-4 of the public id
  char public_id[token::kPublicIdLength] = {};
  absl::string_view id() const { return absl::string_view(public_id, token::kPublicIdLength); }
};

struct DecisionCacheOptions {
  // How many slots; rounded up to a power of two, at least 8. 512 B each.
  size_t entries = 65536;
  // 12 KiB each; memory is touched only where it is used.
  size_t large_entries = 1024;
  // 128 B each.
  size_t unknown_entries = 16384;
};

// Use that the cache handed out: with a removed entry, or by a collection.
struct EntryUse {
  std::string workspace;
  std::string token_id;
  int64_t last_admit_ms = 0;  // service wall clock; 0: never
  int64_t uses = 0;           // since the last report
};

// Readers: any thread, no lock. Writers: one at a time; the caller locks.
class DecisionCache {
 public:
  // RESOURCE_EXHAUSTED: the region cannot be mapped; INVALID_ARGUMENT: absurd sizes.
  static absl::StatusOr<std::unique_ptr<DecisionCache>> Create(const DecisionCacheOptions& options,
                                                               base::Random& random);
  ~DecisionCache();
  DecisionCache(const DecisionCache&) = delete;
  DecisionCache& operator=(const DecisionCache&) = delete;

  // The key of a string. Thread-safe, allocates nothing. Also asks the processor to prefetch what
  // Find will read. A prefetch reads no entry, so it may come before the clocks are read (R13):
  // Find sees memory as it is at Find.
  TokenKey KeyOf(absl::string_view token_string, absl::string_view public_id) const;

  // ---- Readers.
  enum class Found { kMiss, kGrant, kUnknown };
  // Where an entry lay, and which entry it was.
  struct Place {
    uint64_t offset = 0;
    uint32_t sequence = 0;
  };
  // kGrant: `*grant` holds the packed grant, `*place` is set.
  Found Find(const TokenKey& key, GrantBuffer* grant, Place* place) const;

  // Records an admission at `service_ms`, before it is answered. False: the entry was dropped after
  // it was found, and the caller treats it as a miss. The time is stored only when the coarse clock
  // (10 ms) has moved. Stamp and count each carry the entry's generation, and a drop takes the
  // generation from both. So either the drop hands this admission out, or this call sees the drop;
  // nothing ever lands on the slot's next tenant. The count is exact: the sum handed out over all
  // collections and drops is the number of calls that returned true with a time above 0. A time
  // that is handed out is never older than the last counted admission, and newer only by one that
  // was refused here at the same moment.
  bool RecordAdmit(const Place& place, int64_t service_ms);
  // Grows by 1 with each collection of use. A reader reads it before the clock and again after
  // RecordAdmit. Where it has moved, the reader reads the clock and records again, so that nothing
  // is admitted before a report's complete_until and reported after it.
  uint64_t collection() const { return collection_.load(std::memory_order_seq_cst); }

  // ---- Writers. `*out` gets the unreported use of the entries that went away.
  // Keeps a grant under `key`, in place of any that is there. False: the grant is too large. The
  // token id of the grant must be the key's, or no event would find the grant. `service_ms` is the
  // age of a new entry, for replacement: the least recently admitted entry of the set goes.
  // `*place` is set to where the grant lies.
  bool Insert(const TokenKey& key, const tollgate::v1::Grant& grant, absl::string_view packed,
              int64_t service_ms, Place* place, std::vector<EntryUse>* out);
  // Keeps the answer "the store holds no such token".
  void InsertUnknown(const TokenKey& key, int64_t service_ms, std::vector<EntryUse>* out);
  // Drops all entries of a token id, unknown strings too. As evidence, `*out` gets every entry that
  // was ever admitted; an entry whose use was all collected comes with `uses` 0.
  void DropToken(absl::string_view token_id, std::vector<EntryUse>* out);
  // Drops every grant that the cohort covers (R13), and besides at most those that share a keyed
  // 64-bit hash of workspace and owner with it.
  void DropCohort(const token::CohortWatermark& cohort, std::vector<EntryUse>* out);
  void DropAll(std::vector<EntryUse>* out);
  // Moves collection(), then hands out the use since the last collection. Entries stay.
  void CollectUse(std::vector<EntryUse>* out);

  // ---- What the service has said about all token strings.
  // Whether a string of another form is proven to be no token of the service's (I7). With a service
  // of another brand, such a string may be a good token. False at first.
  void SetBrandAgreed(bool agreed) { brand_agreed_.store(agreed, std::memory_order_relaxed); }
  bool brand_agreed() const { return brand_agreed_.load(std::memory_order_relaxed); }

  int64_t size() const { return size_.load(std::memory_order_relaxed); }
  int64_t unknown_size() const { return unknown_size_.load(std::memory_order_relaxed); }
  int64_t evictions() const { return evictions_.load(std::memory_order_relaxed); }

  static constexpr int64_t kCoarseTickMs = 10;
  static constexpr size_t kWays = 8;

 private:
  struct Slot;
  struct Table {
    uint64_t offset = 0;  // of its first slot
    uint64_t marks = 0;   // offset of its first set's marks
    uint64_t sets = 0;    // a power of two
    uint32_t slot_size = 0;
    uint32_t capacity() const;  // payload bytes
  };

  DecisionCache() = default;
  Slot* At(uint64_t offset) const;
  uint64_t SlotOffset(const Table& table, uint64_t set, size_t way) const;
  std::atomic<uint64_t>* Marks(const Table& table, uint64_t set) const;
  // The ways that may hold a string with this id: the uppermost bit of each way's byte is set.
  uint64_t MarkedWays(const Table& table, uint64_t id_tag) const;
  void Prefetch(uint64_t id_tag) const;
  uint64_t Tag(absl::string_view bytes) const;
  // The slot of the table that holds the string; nullptr: none does. Writers only.
  Slot* SlotOf(const Table& table, const TokenKey& key) const;
  // An empty slot of the key's set; evicts an entry where no slot is empty.
  Slot* MakeRoom(const Table& table, const TokenKey& key, std::vector<EntryUse>* out);
  // Removes the entry. Hands it to `*out` where it has unreported use; with `evidence`, also where
  // it was ever admitted.
  void Remove(Slot* slot, bool evidence, std::vector<EntryUse>* out);
  void Write(const Table& table, Slot* slot, const TokenKey& key, const tollgate::v1::Grant* grant,
             absl::string_view packed, int64_t service_ms);
  // Reads workspace and token id of the slot's grant. Writers only.
  void ReadName(const Slot& slot, EntryUse* use) const;
  template <typename Visit>
  void ForEach(const Table& table, Visit visit) const;

  char* region_ = nullptr;
  size_t region_size_ = 0;
  Table small_, large_, unknown_;
  uint8_t key_[16];
  uint8_t tag_key_[16];
  std::atomic<uint64_t> collection_{0};
  std::atomic<int64_t> size_{0};
  std::atomic<int64_t> large_size_{0};
  std::atomic<int64_t> unknown_size_{0};
  std::atomic<int64_t> evictions_{0};
  std::atomic<bool> brand_agreed_{false};
};

}  // namespace tollgate::validator

#endif  // TOLLGATE_VALIDATOR_CORE_DECISION_CACHE_H_
