#include "validator/core/attempt_table.h"

#include <algorithm>
#include <bit>
#include <cstring>

#include "absl/container/flat_hash_map.h"
#include "absl/hash/hash.h"
#include "token/token_string.h"

namespace tollgate::validator {
namespace {

// A slot's word: generation (24 bits), state (2), count (38).
constexpr int kCountBits = 38;
constexpr uint64_t kMostCounted = (uint64_t{1} << kCountBits) - 1;
constexpr uint64_t kEmpty = 0;
constexpr uint64_t kBeingNamed = 1;
constexpr uint64_t kHeld = 2;

uint64_t CountOf(uint64_t word) { return word & kMostCounted; }
uint64_t StateOf(uint64_t word) { return word >> kCountBits & 3; }
uint64_t GenerationOf(uint64_t word) { return word >> (kCountBits + 2); }
uint64_t MakeWord(uint64_t generation, uint64_t state, uint64_t count) {
  return generation << (kCountBits + 2) | state << kCountBits | count;
}

// A time as it lies in a slot: 16 bits of the generation, 48 of the time.
constexpr int kTimeBits = 48;
constexpr uint64_t kTimeMask = (uint64_t{1} << kTimeBits) - 1;
uint64_t TagOf(uint64_t word) { return GenerationOf(word) << kTimeBits; }
uint64_t MakeTime(uint64_t tag, int64_t ms) {
  return tag | (static_cast<uint64_t>(ms) & kTimeMask);
}
int64_t MsOf(uint64_t time) { return static_cast<int64_t>(time & kTimeMask); }

// Sets the time of the tenant with this tag; changes nothing where the slot has another one.
void PutTime(std::atomic<uint64_t>& time, uint64_t tag, int64_t ms) {
  uint64_t seen = time.load(std::memory_order_acquire);
  while ((seen & ~kTimeMask) == tag && MsOf(seen) != ms) {
    if (time.compare_exchange_weak(seen, MakeTime(tag, ms), std::memory_order_acq_rel)) return;
  }
}

size_t SetsFor(size_t slots, size_t ways) {
  return std::bit_ceil(std::max<size_t>((slots + ways - 1) / ways, 1));
}

constexpr size_t kIdAt = 2;
constexpr size_t kWorkspaceAt = kIdAt + token::kPublicIdLength;

bool Later(const AttemptsFrom& a, const AttemptsFrom& b) {
  return a.last_ms != b.last_ms ? a.last_ms > b.last_ms : a.address.bytes() < b.address.bytes();
}

}  // namespace

void MergeAttemptsFrom(const std::vector<AttemptsFrom>& more, std::vector<AttemptsFrom>* from) {
  for (const AttemptsFrom& one : more) {
    const auto same = std::find_if(from->begin(), from->end(), [&one](const AttemptsFrom& held) {
      return held.address == one.address;
    });
    if (same == from->end()) {
      from->push_back(one);
    } else {
      same->last_ms = std::max(same->last_ms, one.last_ms);
      same->count += one.count;
    }
  }
  std::sort(from->begin(), from->end(), Later);
  if (from->size() > kMostAttemptAddresses) from->resize(kMostAttemptAddresses);
}

AttemptTable::AttemptTable(size_t slots)
    : sets_(SetsFor(slots, kWays)),
      slots_(new Slot[sets_ * kWays]),
      addresses_(new Slot[sets_ * kWays]) {
  static_assert(sizeof(Slot) == 128);
}

bool AttemptTable::Pack(absl::string_view workspace, absl::string_view token_id,
                        tollgate::v1::VerdictReason reason, Name* name) {
  char bytes[kTokenWords * sizeof(uint64_t)] = {};
  if (token_id.size() != token::kPublicIdLength ||
      workspace.size() > sizeof(bytes) - kWorkspaceAt || reason <= 0 || reason > 255) {
    return false;
  }
  bytes[0] = static_cast<char>(reason);
  bytes[1] = static_cast<char>(workspace.size());
  std::memcpy(bytes + kIdAt, token_id.data(), token_id.size());
  std::memcpy(bytes + kWorkspaceAt, workspace.data(), workspace.size());
  name->fill(0);
  std::memcpy(name->data(), bytes, sizeof(bytes));
  return true;
}

AttemptTable::Name AttemptTable::NameOf(const Slot& slot) {
  Name name;
  for (size_t i = 0; i < kNameWords; ++i) name[i] = slot.name[i].load(std::memory_order_acquire);
  return name;
}

void AttemptTable::Unpack(const Name& name, TokenAttempts* attempts) {
  char bytes[kTokenWords * sizeof(uint64_t)];
  std::memcpy(bytes, name.data(), sizeof(bytes));
  attempts->reason = static_cast<tollgate::v1::VerdictReason>(static_cast<uint8_t>(bytes[0]));
  attempts->token_id.assign(bytes + kIdAt, token::kPublicIdLength);
  attempts->workspace.assign(bytes + kWorkspaceAt, std::min<size_t>(static_cast<uint8_t>(bytes[1]),
                                                                    sizeof(bytes) - kWorkspaceAt));
}

bool AttemptTable::Holds(const Slot& slot, const Name& name) {
  for (size_t i = 0; i < kNameWords; ++i) {
    if (slot.name[i].load(std::memory_order_acquire) != name[i]) return false;
  }
  return true;
}

absl::Span<AttemptTable::Slot> AttemptTable::SetOf(const Name& name,
                                                   const std::unique_ptr<Slot[]>& slots) const {
  // Whatever the address: those of one token and reason share a set.
  std::array<uint64_t, kTokenWords> token;
  std::copy_n(name.begin(), kTokenWords, token.begin());
  const size_t set = absl::Hash<std::array<uint64_t, kTokenWords>>()(token) & (sets_ - 1);
  return absl::MakeSpan(slots.get() + set * kWays, kWays);
}

bool AttemptTable::Count(Slot& slot, uint64_t word, int64_t service_ms) {
  const uint64_t generation = GenerationOf(word);
  while (GenerationOf(word) == generation && StateOf(word) == kHeld) {
    // The times first: a time that is handed out is never older than the last counted attempt.
    if (CountOf(word) == 0) PutTime(slot.first, TagOf(word), service_ms);
    PutTime(slot.last, TagOf(word), service_ms);
    const uint64_t more = CountOf(word) == kMostCounted ? word : word + 1;
    if (slot.word.compare_exchange_weak(word, more, std::memory_order_acq_rel,
                                        std::memory_order_acquire)) {
      return true;
    }
  }
  return false;
}

bool AttemptTable::Claim(Slot& slot, uint64_t word, const Name& name, int64_t service_ms) {
  const uint64_t generation = GenerationOf(MakeWord(GenerationOf(word) + 1, 0, 0));  // wraps
  const uint64_t named = MakeWord(generation, kBeingNamed, 0);
  if (!slot.word.compare_exchange_strong(word, named, std::memory_order_acq_rel)) return false;
  for (size_t i = 0; i < kNameWords; ++i) slot.name[i].store(name[i], std::memory_order_release);
  slot.first.store(MakeTime(TagOf(named), service_ms), std::memory_order_release);
  slot.last.store(MakeTime(TagOf(named), service_ms), std::memory_order_release);
  slot.word.store(MakeWord(generation, kHeld, 1), std::memory_order_release);
  return true;
}

bool AttemptTable::AddTo(absl::Span<Slot> set, const Name& name, int64_t service_ms, bool evicts) {
  // A slot that changes tenants under this call is rare, and costs one more look.
  for (int attempt = 0; attempt < 3; ++attempt) {
    Slot* place = nullptr;
    uint64_t place_word = 0;
    int64_t place_ms = 0;
    for (Slot& slot : set) {
      const uint64_t word = slot.word.load(std::memory_order_acquire);
      if (StateOf(word) == kHeld && Holds(slot, name) && Count(slot, word, service_ms)) return true;
      const bool empty = StateOf(word) == kEmpty;
      if (!empty && !(evicts && StateOf(word) == kHeld)) continue;
      const int64_t ms = empty ? -1 : MsOf(slot.last.load(std::memory_order_acquire));
      if (place != nullptr && ms >= place_ms) continue;
      place = &slot;
      place_word = word;
      place_ms = ms;
    }
    if (place == nullptr) return false;
    if (Claim(*place, place_word, name, service_ms)) return true;
  }
  return false;
}

void AttemptTable::Add(absl::string_view workspace, absl::string_view token_id,
                       tollgate::v1::VerdictReason reason, int64_t service_ms,
                       const base::IpAddress& from) {
  Name name;
  if (!Pack(workspace, token_id, reason, &name) ||
      !AddTo(SetOf(name, slots_), name, service_ms, /*evicts=*/false)) {
    left_out_.fetch_add(1, std::memory_order_relaxed);
    return;
  }
  if (from.empty()) return;
  std::memcpy(name.data() + kTokenWords, from.bytes().data(), base::IpAddress::kBytes);
  AddTo(SetOf(name, addresses_), name, service_ms, /*evicts=*/true);
}

bool AttemptTable::TakeFrom(Slot& slot, Name* name, TokenAttempts* attempts) {
  uint64_t word = slot.word.load(std::memory_order_acquire);
  while (StateOf(word) == kHeld) {
    const uint64_t generation = GenerationOf(word);
    const uint64_t count = CountOf(word);
    // All is read before the exchange, which fails where the slot was counted in, or changed its
    // tenant, meanwhile. The first time stands still while the count is above 0.
    *name = NameOf(slot);
    const int64_t first_ms = MsOf(slot.first.load(std::memory_order_acquire));
    const int64_t last_ms = MsOf(slot.last.load(std::memory_order_acquire));
    if (!slot.word.compare_exchange_weak(word, MakeWord(generation, count == 0 ? kEmpty : kHeld, 0),
                                         std::memory_order_acq_rel, std::memory_order_acquire)) {
      continue;
    }
    if (count == 0) return false;
    attempts->last_ms = last_ms;
    attempts->first_ms = std::min(first_ms, last_ms);
    attempts->count = static_cast<int64_t>(count);
    return true;
  }
  return false;
}

void AttemptTable::Collect(std::vector<TokenAttempts>* out) {
  Name name;
  TokenAttempts taken;
  // The addresses first: what one was seen in is counted by then, and comes with it.
  absl::flat_hash_map<Name, std::vector<AttemptsFrom>> from;
  for (Slot& slot : absl::MakeSpan(addresses_.get(), sets_ * kWays)) {
    if (!TakeFrom(slot, &name, &taken)) continue;
    std::array<uint8_t, base::IpAddress::kBytes> address;
    std::memcpy(address.data(), name.data() + kTokenWords, address.size());
    std::fill(name.begin() + kTokenWords, name.end(), 0);
    MergeAttemptsFrom({{base::IpAddress::FromBytes(address), taken.last_ms, taken.count}},
                      &from[name]);
  }
  for (Slot& slot : absl::MakeSpan(slots_.get(), sets_ * kWays)) {
    if (!TakeFrom(slot, &name, &taken)) continue;
    TokenAttempts& attempts = out->emplace_back(taken);
    Unpack(name, &attempts);
    const auto found = from.find(name);
    if (found != from.end()) attempts.from = std::move(found->second);
  }
}

void AttemptTable::ForgetAddresses(absl::string_view workspace) {
  for (Slot& slot : absl::MakeSpan(addresses_.get(), sets_ * kWays)) {
    uint64_t word = slot.word.load(std::memory_order_acquire);
    while (StateOf(word) == kHeld) {
      TokenAttempts held;
      Unpack(NameOf(slot), &held);
      if (!workspace.empty() && held.workspace != workspace) break;
      if (slot.word.compare_exchange_weak(word, MakeWord(GenerationOf(word), kEmpty, 0),
                                          std::memory_order_acq_rel, std::memory_order_acquire)) {
        break;
      }
    }
  }
}

}  // namespace tollgate::validator
