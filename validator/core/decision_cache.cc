#include "validator/core/decision_cache.h"

#include <sodium.h>
#include <sys/mman.h>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <cstring>

#include "absl/strings/str_cat.h"
#include "base/status.h"

namespace tollgate::validator {
namespace {

constexpr uint32_t kSmallSlot = 512;
constexpr uint32_t kLargeSlot = 12 * 1024;
constexpr uint32_t kUnknownSlot = 128;
constexpr size_t kMostEntries = size_t{1} << 26;

enum Kind : uint32_t { kEmpty = 0, kGrantEntry = 1, kUnknownEntry = 2 };

// An admission writes two words, a stamp and a count. Each holds the entry's generation in its
// upper bits and a value below it: service milliseconds (to the year 2109), or uses. A generation
// recurs after four million changes of one slot; a reader would have to sleep through all of them.
constexpr int kValueBits = 42;
constexpr uint64_t kValueMask = (uint64_t{1} << kValueBits) - 1;
uint64_t Generation(uint32_t sequence) { return (uint64_t{sequence} >> 1) & 0x3fffff; }
uint64_t GenerationOf(uint64_t word) { return word >> kValueBits; }
int64_t ValueOf(uint64_t word) { return static_cast<int64_t>(word & kValueMask); }
// The word of a generation whose value is nothing.
uint64_t Fresh(uint32_t sequence) { return Generation(sequence) << kValueBits; }

// The low bits choose the set.
uint64_t MarkOf(uint64_t id_tag) { return id_tag >> 56; }
constexpr uint64_t kEveryByte = 0x0101010101010101;
size_t FirstWay(uint64_t ways) { return static_cast<size_t>(std::countr_zero(ways)) / 8; }

size_t RoundUp(size_t entries) { return std::bit_ceil(std::max(entries, DecisionCache::kWays)); }

}  // namespace

// Two cache lines and the payload. The words that an admission writes lie on the second line, so
// that they do not take the first away from other readers.
struct DecisionCache::Slot {
  std::atomic<uint32_t> sequence;
  std::atomic<uint32_t> size;  // of the payload, in bytes
  std::atomic<uint64_t> hash[2];
  std::atomic<uint64_t> id_tag;
  std::atomic<uint64_t> workspace_tag;
  std::atomic<uint64_t> owner_tag;
  std::atomic<int64_t> create_revision;
  std::atomic<uint32_t> create_index;
  std::atomic<uint32_t> kind;

  std::atomic<uint64_t> stamp;  // of the last admission
  std::atomic<uint64_t> uses;   // not handed out yet
  std::atomic<int64_t> inserted_ms;
  std::atomic<int64_t> reported_ms;  // the last admission that use was handed out for; writers only
  uint64_t reserved[4];

  std::atomic<uint64_t> payload[];
};

uint32_t DecisionCache::Table::capacity() const {
  return slot_size - static_cast<uint32_t>(sizeof(Slot));
}

absl::StatusOr<std::unique_ptr<DecisionCache>> DecisionCache::Create(
    const DecisionCacheOptions& options, base::Random& random) {
  static_assert(sizeof(Slot) == 128);
  static_assert(kWays == sizeof(uint64_t));  // a mark each
  static_assert(std::atomic<uint64_t>::is_always_lock_free);
  static_assert(kLargeSlot - sizeof(Slot) == kLongestGrant);
  static_assert(crypto_shorthash_siphashx24_KEYBYTES == 16 && crypto_shorthash_KEYBYTES == 16);
  if (options.entries > kMostEntries || options.large_entries > kMostEntries ||
      options.unknown_entries > kMostEntries) {
    return base::RefuseField("CACHE_TOO_LARGE", "cache.entries",
                             absl::StrCat("must be at most ", kMostEntries));
  }
  auto cache = std::unique_ptr<DecisionCache>(new DecisionCache());
  random.Fill(absl::MakeSpan(cache->key_, sizeof(cache->key_)));
  random.Fill(absl::MakeSpan(cache->tag_key_, sizeof(cache->tag_key_)));
  uint64_t offset = 0;
  const auto lay = [&offset](Table* table, size_t entries, uint32_t slot_size) {
    table->offset = offset;
    table->sets = RoundUp(entries) / kWays;
    table->slot_size = slot_size;
    offset += table->sets * kWays * slot_size;
  };
  lay(&cache->small_, options.entries, kSmallSlot);
  lay(&cache->large_, options.large_entries, kLargeSlot);
  lay(&cache->unknown_, options.unknown_entries, kUnknownSlot);
  for (Table* table : {&cache->small_, &cache->large_, &cache->unknown_}) {
    table->marks = offset;
    offset += table->sets * sizeof(uint64_t);
  }
  // Zero bytes are empty slots. MAP_NORESERVE: unused memory costs nothing.
  void* memory = mmap(nullptr, offset, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED) {
    return base::Refuse(absl::StatusCode::kResourceExhausted, "NO_MEMORY",
                        absl::StrCat("the decision cache of ", offset,
                                     " bytes cannot be mapped: ", std::strerror(errno)));
  }
  cache->region_ = static_cast<char*>(memory);
  cache->region_size_ = offset;
  return cache;
}

DecisionCache::~DecisionCache() {
  if (region_ != nullptr) munmap(region_, region_size_);
}

DecisionCache::Slot* DecisionCache::At(uint64_t offset) const {
  return reinterpret_cast<Slot*>(region_ + offset);
}

uint64_t DecisionCache::SlotOffset(const Table& table, uint64_t set, size_t way) const {
  return table.offset + (set * kWays + way) * table.slot_size;
}

std::atomic<uint64_t>* DecisionCache::Marks(const Table& table, uint64_t set) const {
  return reinterpret_cast<std::atomic<uint64_t>*>(region_ + table.marks) + set;
}

uint64_t DecisionCache::MarkedWays(const Table& table, uint64_t id_tag) const {
  // Equal bytes become zero, and the subtraction sets the uppermost bit of a zero byte. It may also
  // set that of a byte of one above it, which costs a look at a slot.
  const uint64_t apart = Marks(table, id_tag & (table.sets - 1))->load(std::memory_order_relaxed) ^
                         kEveryByte * MarkOf(id_tag);
  return (apart - kEveryByte) & ~apart & kEveryByte << 7;
}

uint64_t DecisionCache::Tag(absl::string_view bytes) const {
  uint64_t tag;
  crypto_shorthash(reinterpret_cast<unsigned char*>(&tag),
                   reinterpret_cast<const unsigned char*>(bytes.data()), bytes.size(), tag_key_);
  return tag;
}

TokenKey DecisionCache::KeyOf(absl::string_view token_string, absl::string_view public_id) const {
  TokenKey key;
  key.id_tag = Tag(public_id);
  Prefetch(key.id_tag);
  crypto_shorthash_siphashx24(reinterpret_cast<unsigned char*>(key.hash),
                              reinterpret_cast<const unsigned char*>(token_string.data()),
                              token_string.size(), key_);
  std::memcpy(key.public_id, public_id.data(), std::min(public_id.size(), sizeof(key.public_id)));
  return key;
}

template <typename Visit>
void DecisionCache::ForEach(const Table& table, Visit visit) const {
  for (uint64_t set = 0; set < table.sets; ++set) {
    for (size_t way = 0; way < kWays; ++way) visit(At(SlotOffset(table, set, way)));
  }
}

// ---- Readers.

void DecisionCache::Prefetch(uint64_t id_tag) const {
  const uint64_t ways = MarkedWays(small_, id_tag);
  if (ways == 0) return;
  const uint64_t set = id_tag & (small_.sets - 1);
  const char* slot = region_ + SlotOffset(small_, set, FirstWay(ways));
  // The slot's own two lines, and as much payload as most grants have.
  for (size_t at = 0; at < sizeof(Slot) + 192; at += 64) __builtin_prefetch(slot + at);
}

DecisionCache::Found DecisionCache::Find(const TokenKey& key, GrantBuffer* grant,
                                         Place* place) const {
  const auto look = [&](const Table& table, Found what) {
    const uint64_t set = key.id_tag & (table.sets - 1);
    for (uint64_t ways = MarkedWays(table, key.id_tag); ways != 0; ways &= ways - 1) {
      const uint64_t offset = SlotOffset(table, set, FirstWay(ways));
      const Slot* slot = At(offset);
      const uint32_t sequence = slot->sequence.load(std::memory_order_acquire);
      if (slot->hash[0].load(std::memory_order_acquire) != key.hash[0] ||
          slot->hash[1].load(std::memory_order_acquire) != key.hash[1]) {
        continue;
      }
      if ((sequence & 1) != 0 || slot->kind.load(std::memory_order_acquire) == kEmpty) continue;
      if (what == Found::kGrant) {
        // Bounded before use, because the value read here may be torn.
        const size_t size = std::min(slot->size.load(std::memory_order_acquire), table.capacity());
        uint64_t* to = grant->words();
        for (size_t i = 0; i < (size + 7) / 8; ++i) {
          to[i] = slot->payload[i].load(std::memory_order_acquire);
        }
        grant->set_size(size);
      }
      // The acquire loads above keep this load after them: an unchanged sequence means a whole
      // read.
      if (slot->sequence.load(std::memory_order_relaxed) != sequence) return Found::kMiss;
      place->offset = offset;
      place->sequence = sequence;
      return what;
    }
    return Found::kMiss;
  };
  Found found = look(small_, Found::kGrant);
  if (found == Found::kMiss && large_size_.load(std::memory_order_relaxed) > 0) {
    found = look(large_, Found::kGrant);
  }
  if (found == Found::kMiss && unknown_size_.load(std::memory_order_relaxed) > 0) {
    found = look(unknown_, Found::kUnknown);
  }
  return found;
}

bool DecisionCache::RecordAdmit(const Place& place, int64_t service_ms) {
  Slot* slot = At(place.offset);
  const uint64_t generation = Generation(place.sequence);
  const uint64_t tick = static_cast<uint64_t>(service_ms - service_ms % kCoarseTickMs) & kValueMask;
  // The stamp comes before the count, so that whoever finds the use counted also finds its time.
  uint64_t stamp = slot->stamp.load(std::memory_order_acquire);
  for (;;) {
    if (GenerationOf(stamp) != generation) return false;
    if ((stamp & kValueMask) >= tick) break;
    if (slot->stamp.compare_exchange_weak(stamp, generation << kValueBits | tick,
                                          std::memory_order_acq_rel, std::memory_order_acquire)) {
      break;
    }
  }
  // The count decides. It is exchanged, not added to, so that it never lands on the slot's next
  // tenant. seq_cst pairs with CollectUse: either CollectUse sees this use, or this reader then
  // sees that collection() has moved.
  uint64_t uses = slot->uses.load(std::memory_order_relaxed);
  do {
    if (GenerationOf(uses) != generation) return false;
  } while (!slot->uses.compare_exchange_weak(uses, uses + 1, std::memory_order_seq_cst,
                                             std::memory_order_relaxed));
  return true;
}

// ---- Writers.

void DecisionCache::ReadName(const Slot& slot, EntryUse* use) const {
  char bytes[kLongestGrant];
  const size_t size = slot.size.load(std::memory_order_relaxed);
  for (size_t i = 0; i < (size + 7) / 8; ++i) {
    const uint64_t word = slot.payload[i].load(std::memory_order_relaxed);
    std::memcpy(bytes + 8 * i, &word, 8);
  }
  token::GrantView grant;
  if (!token::GrantView::Over(absl::string_view(bytes, size), &grant)) return;
  use->workspace = std::string(grant.workspace());
  use->token_id = std::string(grant.token_id());
}

void DecisionCache::Remove(Slot* slot, bool evidence, std::vector<EntryUse>* out) {
  const uint32_t sequence = slot->sequence.load(std::memory_order_relaxed);
  const uint32_t kind = slot->kind.load(std::memory_order_relaxed);
  if (kind == kEmpty) return;
  slot->sequence.store(sequence + 1, std::memory_order_relaxed);
  // From here on an admission of this entry fails, because its generation is gone, last from the
  // count. `uses` is therefore exactly the number of admissions, and `stamp` is no older than the
  // last one. (`stamp` may be that of an admission that fails at the count; such an admission is
  // judged again.)
  const uint64_t stamp = slot->stamp.exchange(Fresh(sequence + 2), std::memory_order_acq_rel);
  const uint64_t uses = slot->uses.exchange(Fresh(sequence + 2), std::memory_order_acq_rel);
  if (kind == kGrantEntry) {
    const int64_t unreported = ValueOf(uses);
    // Where nothing was counted since a collection, a newer stamp is that of an admission that
    // fails.
    const int64_t last_ms =
        unreported > 0 ? ValueOf(stamp) : slot->reported_ms.load(std::memory_order_relaxed);
    if (last_ms > 0 && (unreported > 0 || evidence)) {
      EntryUse use;
      ReadName(*slot, &use);
      use.last_admit_ms = last_ms;
      use.uses = unreported;
      out->push_back(std::move(use));
    }
    size_.fetch_sub(1, std::memory_order_relaxed);
    if (slot >= At(large_.offset)) large_size_.fetch_sub(1, std::memory_order_relaxed);
  } else {
    unknown_size_.fetch_sub(1, std::memory_order_relaxed);
  }
  slot->kind.store(kEmpty, std::memory_order_release);
  slot->hash[0].store(0, std::memory_order_release);
  slot->hash[1].store(0, std::memory_order_release);
  slot->size.store(0, std::memory_order_release);
  slot->sequence.store(sequence + 2, std::memory_order_release);
}

DecisionCache::Slot* DecisionCache::SlotOf(const Table& table, const TokenKey& key) const {
  const uint64_t set = key.id_tag & (table.sets - 1);
  for (size_t way = 0; way < kWays; ++way) {
    Slot* slot = At(SlotOffset(table, set, way));
    if (slot->kind.load(std::memory_order_relaxed) != kEmpty &&
        slot->hash[0].load(std::memory_order_relaxed) == key.hash[0] &&
        slot->hash[1].load(std::memory_order_relaxed) == key.hash[1]) {
      return slot;
    }
  }
  return nullptr;
}

DecisionCache::Slot* DecisionCache::MakeRoom(const Table& table, const TokenKey& key,
                                             std::vector<EntryUse>* out) {
  const uint64_t set = key.id_tag & (table.sets - 1);
  Slot* oldest = nullptr;
  int64_t oldest_ms = 0;
  for (size_t way = 0; way < kWays; ++way) {
    Slot* slot = At(SlotOffset(table, set, way));
    if (slot->kind.load(std::memory_order_relaxed) == kEmpty) return slot;
    const int64_t ms = std::max(ValueOf(slot->stamp.load(std::memory_order_relaxed)),
                                slot->inserted_ms.load(std::memory_order_relaxed));
    if (oldest == nullptr || ms < oldest_ms) {
      oldest = slot;
      oldest_ms = ms;
    }
  }
  Remove(oldest, /*evidence=*/false, out);
  evictions_.fetch_add(1, std::memory_order_relaxed);
  return oldest;
}

void DecisionCache::Write(const Table& table, Slot* slot, const TokenKey& key,
                          const tollgate::v1::Grant* grant, absl::string_view packed,
                          int64_t service_ms) {
  const uint32_t sequence = slot->sequence.load(std::memory_order_relaxed);
  slot->sequence.store(sequence + 1, std::memory_order_relaxed);
  slot->stamp.exchange(Fresh(sequence + 2), std::memory_order_acq_rel);
  slot->uses.exchange(Fresh(sequence + 2), std::memory_order_acq_rel);
  slot->inserted_ms.store(service_ms, std::memory_order_release);
  slot->reported_ms.store(0, std::memory_order_relaxed);
  slot->id_tag.store(key.id_tag, std::memory_order_release);
  if (grant != nullptr) {
    slot->workspace_tag.store(Tag(grant->workspace()), std::memory_order_release);
    slot->owner_tag.store(Tag(grant->owner()), std::memory_order_release);
    slot->create_revision.store(grant->create_revision(), std::memory_order_release);
    slot->create_index.store(grant->create_index(), std::memory_order_release);
  }
  for (size_t i = 0; i < packed.size(); i += 8) {
    uint64_t word = 0;
    std::memcpy(&word, packed.data() + i, std::min<size_t>(8, packed.size() - i));
    slot->payload[i / 8].store(word, std::memory_order_release);
  }
  slot->size.store(static_cast<uint32_t>(packed.size()), std::memory_order_release);
  slot->kind.store(grant != nullptr ? kGrantEntry : kUnknownEntry, std::memory_order_release);
  slot->hash[0].store(key.hash[0], std::memory_order_release);
  slot->hash[1].store(key.hash[1], std::memory_order_release);
  // Remove does not unset it: a stale mark costs a reader only a look at the slot.
  const uint64_t offset = static_cast<uint64_t>(reinterpret_cast<char*>(slot) - region_);
  const uint64_t index = (offset - table.offset) / table.slot_size;
  std::atomic<uint64_t>* marks = Marks(table, index / kWays);
  const size_t shift = 8 * (index % kWays);
  marks->store((marks->load(std::memory_order_relaxed) & ~(uint64_t{0xff} << shift)) |
                   MarkOf(key.id_tag) << shift,
               std::memory_order_release);
  slot->sequence.store(sequence + 2, std::memory_order_release);
}

bool DecisionCache::Insert(const TokenKey& key, const tollgate::v1::Grant& grant,
                           absl::string_view packed, int64_t service_ms, Place* place,
                           std::vector<EntryUse>* out) {
  for (const Table* table : {&small_, &large_, &unknown_}) {
    Slot* held = SlotOf(*table, key);
    if (held != nullptr) Remove(held, /*evidence=*/false, out);
  }
  if (packed.size() > large_.capacity()) return false;
  const bool large = packed.size() > small_.capacity();
  const Table& table = large ? large_ : small_;
  Slot* slot = MakeRoom(table, key, out);
  Write(table, slot, key, &grant, packed, service_ms);
  size_.fetch_add(1, std::memory_order_relaxed);
  if (large) large_size_.fetch_add(1, std::memory_order_relaxed);
  place->offset = static_cast<uint64_t>(reinterpret_cast<char*>(slot) - region_);
  place->sequence = slot->sequence.load(std::memory_order_relaxed);
  return true;
}

void DecisionCache::InsertUnknown(const TokenKey& key, int64_t service_ms,
                                  std::vector<EntryUse>* out) {
  for (const Table* table : {&small_, &large_, &unknown_}) {
    Slot* held = SlotOf(*table, key);
    if (held != nullptr) Remove(held, /*evidence=*/false, out);
  }
  Write(unknown_, MakeRoom(unknown_, key, out), key, nullptr, "", service_ms);
  unknown_size_.fetch_add(1, std::memory_order_relaxed);
}

void DecisionCache::DropToken(absl::string_view token_id, std::vector<EntryUse>* out) {
  const uint64_t tag = Tag(token_id);
  for (const Table* table : {&small_, &large_, &unknown_}) {
    const uint64_t set = tag & (table->sets - 1);
    for (size_t way = 0; way < kWays; ++way) {
      Slot* slot = At(SlotOffset(*table, set, way));
      if (slot->id_tag.load(std::memory_order_relaxed) == tag) Remove(slot, /*evidence=*/true, out);
    }
  }
}

void DecisionCache::DropCohort(const token::CohortWatermark& cohort, std::vector<EntryUse>* out) {
  if (size_.load(std::memory_order_relaxed) == 0) return;
  const uint64_t workspace_tag = Tag(cohort.workspace);
  const uint64_t owner_tag = Tag(cohort.owner);
  const auto drop = [&](Slot* slot) {
    if (slot->kind.load(std::memory_order_relaxed) != kGrantEntry) return;
    if (slot->workspace_tag.load(std::memory_order_relaxed) != workspace_tag) return;
    if (!cohort.owner.empty() && slot->owner_tag.load(std::memory_order_relaxed) != owner_tag)
      return;
    if (token::Covers(cohort.revision, cohort.index,
                      slot->create_revision.load(std::memory_order_relaxed),
                      slot->create_index.load(std::memory_order_relaxed))) {
      Remove(slot, /*evidence=*/false, out);
    }
  };
  ForEach(small_, drop);
  if (large_size_.load(std::memory_order_relaxed) > 0) ForEach(large_, drop);
}

void DecisionCache::DropAll(std::vector<EntryUse>* out) {
  const auto drop = [&](Slot* slot) { Remove(slot, /*evidence=*/false, out); };
  if (size_.load(std::memory_order_relaxed) > 0) ForEach(small_, drop);
  if (large_size_.load(std::memory_order_relaxed) > 0) ForEach(large_, drop);
  if (unknown_size_.load(std::memory_order_relaxed) > 0) ForEach(unknown_, drop);
}

void DecisionCache::CollectUse(std::vector<EntryUse>* out) {
  collection_.fetch_add(1, std::memory_order_seq_cst);
  const auto collect = [&](Slot* slot) {
    if (slot->kind.load(std::memory_order_relaxed) != kGrantEntry) return;
    EntryUse use;
    use.uses = ValueOf(slot->uses.load(std::memory_order_seq_cst));
    if (use.uses == 0) return;
    // Uses that are counted from here on stay for the next collection.
    slot->uses.fetch_sub(static_cast<uint64_t>(use.uses), std::memory_order_seq_cst);
    use.last_admit_ms = ValueOf(slot->stamp.load(std::memory_order_acquire));
    if (use.last_admit_ms == 0) return;  // the service's time had not been heard
    slot->reported_ms.store(use.last_admit_ms, std::memory_order_relaxed);
    ReadName(*slot, &use);
    out->push_back(std::move(use));
  };
  if (size_.load(std::memory_order_relaxed) > 0) ForEach(small_, collect);
  if (large_size_.load(std::memory_order_relaxed) > 0) ForEach(large_, collect);
}

}  // namespace tollgate::validator
