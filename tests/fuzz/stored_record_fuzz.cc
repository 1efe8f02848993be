// Records as a damaged disk may hold them, in a small store that was whole: whatever reads them
// ends with an answer or an error, tells one state of a token everywhere, and lets a token pass
// that has ended nowhere (I7).
//
// Input: records of one byte that says which of the store's values is meant, two bytes of length,
// and the bytes that are in its place. With the highest bit set the value is gone.
#include <array>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "base/clock.h"
#include "base/proto_time.h"
#include "google/protobuf/stubs/logging.h"
#include "service/history/history.h"
#include "service/reads/check_store.h"
#include "service/reads/read_audit.h"
#include "service/reads/read_tokens.h"
#include "service/records/field_time.h"
#include "service/records/held_token.h"
#include "service/records/retention.h"
#include "service/records/unused_watch.h"
#include "service/sweep/sweep.h"
#include "storage/audit_index.h"
#include "storage/live_count.h"
#include "storage/overlay_view.h"
#include "storage/schema.h"
#include "storage/tombstone.h"
#include "tests/fuzz/fuzz.h"
#include "token/audit_hash.h"
#include "token/grant.h"
#include "token/life_cycle.h"

namespace tollgate::fuzz {
namespace {

using namespace store::v1;  // NOLINT: every record is one of these
using storage::Table;

constexpr char kWorkspace[] = "payments";
constexpr char kOwner[] = "ops";
constexpr std::array<const char*, 4> kTokens = {"aaaaaaaaaaaa", "bbbbbbbbbbbb", "cccccccccccc",
                                                "dddddddddddd"};
constexpr int64_t kNowUs = 1'700'000'000'000'000;
constexpr int64_t kDayUs = int64_t{86'400} * 1'000'000;

absl::Time Now() { return absl::FromUnixMicros(kNowUs); }

// A store in memory, without an engine's checks: what a disk gives back.
class Store : public storage::Snapshot {
 public:
  int64_t revision() const override { return 3; }
  absl::StatusOr<absl::optional<std::string>> Get(Table table,
                                                  absl::string_view key) const override {
    const Keys& keys = tables_[static_cast<size_t>(table)];
    const auto found = keys.find(std::string(key));
    if (found == keys.end()) return absl::optional<std::string>();
    return absl::optional<std::string>(found->second);
  }
  absl::StatusOr<std::vector<storage::Entry>> Scan(Table table, absl::string_view begin,
                                                   absl::string_view end,
                                                   size_t limit) const override {
    const Keys& keys = tables_[static_cast<size_t>(table)];
    std::vector<storage::Entry> entries;
    for (auto it = keys.lower_bound(std::string(begin));
         it != keys.end() && (end.empty() || it->first < end) && entries.size() < limit; ++it) {
      entries.push_back({it->first, it->second});
    }
    return entries;
  }
  absl::StatusOr<std::vector<storage::Entry>> ScanBack(Table table, absl::string_view begin,
                                                       absl::string_view end,
                                                       size_t limit) const override {
    auto entries = *Scan(table, begin, end, SIZE_MAX);
    std::vector<storage::Entry> last(entries.rbegin(), entries.rend());
    if (last.size() > limit) last.resize(limit);
    return last;
  }
  void Put(Table table, const std::string& key, std::string value) {
    tables_[static_cast<size_t>(table)][key] = std::move(value);
  }
  void Put(Table table, const std::string& key, const google::protobuf::MessageLite& record) {
    Put(table, key, storage::SerializeRecord(record));
  }
  void Remove(Table table, const std::string& key) {
    tables_[static_cast<size_t>(table)].erase(key);
  }

 private:
  using Keys = std::map<std::string, std::string>;
  std::array<Keys, storage::kTableCount> tables_;
};

std::string DigestOf(size_t token) { return std::string(32, static_cast<char>('0' + token)); }
std::string KeyOf(size_t token) { return storage::TokenKey(kWorkspace, kTokens[token]); }

TokenRecord Token(size_t number) {
  TokenRecord record;
  record.set_workspace(kWorkspace);
  record.set_token_id(kTokens[number]);
  record.set_kind("w");
  record.set_label("label");
  record.add_scopes("deploy:write");
  record.set_owner(kOwner);
  record.set_create_time_us(kNowUs - kDayUs);
  record.set_update_time_us(kNowUs - kDayUs);
  record.set_create_revision(1);
  record.set_create_index(static_cast<uint32_t>(number));
  record.set_update_revision(1);
  record.set_stored_digest(DigestOf(number));
  record.set_pepper_id(1);
  return record;
}

// The place of a value that the input may change.
using Place = std::pair<Table, std::string>;

const std::vector<Place>& Places() {
  static const auto* const places = new std::vector<Place>{
      {Table::kTokens, KeyOf(0)},
      {Table::kTokens, KeyOf(1)},
      {Table::kTokens, KeyOf(2)},
      {Table::kWorkspaces, kWorkspace},
      {Table::kCohorts, storage::CohortKey(kWorkspace, "")},
      {Table::kCohorts, storage::CohortKey(kWorkspace, kOwner)},
      {Table::kDigests, DigestOf(0)},
      {Table::kDigests, DigestOf(3)},
      {Table::kUse, storage::UseKey(kWorkspace, kTokens[1], "edge-1")},
      {Table::kUse, storage::UseKey(kWorkspace, kTokens[2], "edge-1")},
      {Table::kAudit, storage::AuditKey(1, 0)},
      {Table::kMeta, storage::kHeadKey},
      {Table::kMeta, storage::kMetaKey},
      {Table::kMeta, storage::TermKey(1)},
      {Table::kMeta, storage::TermKey(3)},
      {Table::kMeta, storage::LiveCountKey(kWorkspace, "")},
      {Table::kMeta, storage::LiveCountKey(kWorkspace, kOwner)},
      {Table::kDue, storage::DueKey(0, storage::DueKind::kUnusedMark, KeyOf(0))},
      {Table::kDue, storage::DueKey(0, storage::DueKind::kWriteEnds, kWorkspace)},
      {Table::kMeta, storage::LiveCountKey("other", "")},
  };
  return *places;
}

Store Whole() {
  Store store;
  TokenRecord token = Token(0);
  token.set_expire_time_us(kNowUs + kDayUs);
  store.Put(Table::kTokens, KeyOf(0), token);
  token = Token(1);
  token.mutable_retirement()->set_quiet_period_us(kDayUs / 24);
  token.set_replaced_by_token_id(kTokens[2]);
  store.Put(Table::kTokens, KeyOf(1), token);
  token = Token(2);
  token.set_replaces_token_id(kTokens[1]);
  store.Put(Table::kTokens, KeyOf(2), token);
  token = Token(3);
  token.mutable_ending()->set_kind(Ending::KIND_REVOKED);
  token.mutable_ending()->set_revision(2);
  token.mutable_ending()->set_time_us(kNowUs - kDayUs / 2);
  for (size_t i = 0; i < 3; ++i) {
    DigestRecord digest;
    digest.set_workspace(kWorkspace);
    digest.set_token_id(kTokens[i]);
    store.Put(Table::kDigests, DigestOf(i), digest);
  }
  store.Put(Table::kDigests, DigestOf(3), storage::PurgedDigest(token));

  WorkspaceRecord workspace;
  workspace.set_workspace(kWorkspace);
  workspace.set_create_revision(1);
  workspace.mutable_policy()->set_max_unused_us(30 * kDayUs);
  workspace.mutable_policy()->set_max_unused_since_us(kNowUs - 2 * kDayUs);
  workspace.mutable_policy()->set_rotation_period_us(90 * kDayUs);
  store.Put(Table::kWorkspaces, kWorkspace, workspace);
  UseRecord use;
  use.set_last_used_us(kNowUs - kDayUs / 2);
  use.set_count(3);
  store.Put(Table::kUse, storage::UseKey(kWorkspace, kTokens[1], "edge-1"), use);
  store.Put(Table::kUse, storage::UseKey(kWorkspace, kTokens[2], "edge-1"), use);

  AuditRecord entry;
  entry.set_revision(1);
  entry.set_action("policy.update");
  entry.set_resource("workspaces/payments/policy");
  entry.set_workspace(kWorkspace);
  (*entry.mutable_details())["policy"] = "max_lifetime_us: 5";
  AuditChainRecord link;
  link.set_content(storage::SerializeRecord(entry));
  link.set_hash(token::AuditHash("", link.content()));
  store.Put(Table::kAudit, storage::AuditKey(1, 0), link);

  HeadRecord head;
  head.set_revision(3);
  head.set_time_us(kNowUs);
  head.set_audit_hash(link.hash());
  store.Put(Table::kMeta, storage::kHeadKey, head);
  MetaRecord meta;
  meta.set_format(storage::kStoreFormat);
  meta.set_epoch("epoch");
  store.Put(Table::kMeta, storage::kMetaKey, meta);
  TermRecord term;
  term.set_term("term");
  term.set_boot_id("boot");
  term.set_start_boot_us(1);
  for (const int64_t from : {int64_t{1}, int64_t{3}}) {
    term.set_from_revision(from);
    store.Put(Table::kMeta, storage::TermKey(from), term);
  }
  CountRecord count;
  count.set_live(3);
  store.Put(Table::kMeta, storage::LiveCountKey(kWorkspace, ""), count);
  store.Put(Table::kMeta, storage::LiveCountKey(kWorkspace, kOwner), count);

  using storage::DueKind;
  for (size_t i = 0; i < 3; ++i) {
    for (const DueKind kind : {DueKind::kExpire, DueKind::kRetire, DueKind::kWatchUnused}) {
      store.Put(Table::kDue, storage::DueKey(kNowUs - 10, kind, KeyOf(i)), "");
    }
  }
  store.Put(Table::kDue, storage::DueKey(0, DueKind::kWatchSilent, KeyOf(1)), "");
  store.Put(Table::kDue,
            storage::DueKey(kNowUs - 2 * kDayUs, DueKind::kReachUnused,
                            storage::TokenKey(kWorkspace, "")),
            "");
  store.Put(Table::kDue,
            storage::DueKey(0, DueKind::kReachPurge, storage::TokenKey(kWorkspace, "")), "");
  store.Put(Table::kDue, storage::DueKey(0, DueKind::kWriteEnds, kWorkspace), EndWalkRecord());
  for (size_t i = 0; i < 3; ++i) {
    store.Put(Table::kDue, storage::PurgeKey(kNowUs - 10, KeyOf(i)), "");
  }
  return store;
}

bool IsFinalOrLive(v1::TokenState state) { return token::IsFinal(state) || token::IsLive(state); }

// What is told of a token, by whatever way it is told.
void LookAtToken(const service::HeldToken& held) {
  const v1::TokenState state = held.StateAt(Now());
  FUZZ_CLAIM(IsFinalOrLive(state));
  // Final is final.
  const absl::Time later = Now() + absl::Hours(1000);
  FUZZ_CLAIM(!token::IsFinal(state) || held.StateAt(later) == state);

  const v1::Token resource = service::ToResource(held, Now());
  FUZZ_CLAIM(resource.state() == state);
  FUZZ_CLAIM(resource.has_end() == token::IsFinal(state));
  FUZZ_CLAIM(!resource.has_retire_plan() || token::IsLive(state));
  for (const google::protobuf::Timestamp& time :
       {resource.create_time(), resource.update_time(), resource.expire_time(),
        resource.revoke_time(), resource.end().time(), resource.rotation_due_time()}) {
    FUZZ_CLAIM(base::IsValid(time));
  }

  const v1::Grant grant = token::ToGrant(held.record, held.cohorts);
  FUZZ_CLAIM(!token::IsFinal(grant.state()) || grant.state() == state);
  const std::string packed = token::PackGrant(grant);
  token::GrantView view;
  FUZZ_CLAIM(token::GrantView::Over(packed, &view));
  token::Requirement any;
  if (grant.audiences_size() > 0) any.audience = grant.audiences(0);
  if (token::Decide(view, any, Now()) == v1::VERDICT_REASON_UNSPECIFIED) {
    FUZZ_CLAIM(token::IsLive(state) && state != v1::TOKEN_STATE_SUSPENDED);
  }

  // A watermark's end written into the record changes nothing that is told.
  service::HeldToken written = held;
  if (token::WriteCohortsEnd(held.cohorts, &written.record)) {
    FUZZ_CLAIM(written.StateAt(Now()) == state && token::IsFinal(state));
    FUZZ_CLAIM(token::ToGrant(written.record, held.cohorts).state() == grant.state());
    FUZZ_CLAIM(!token::WriteCohortsEnd(held.cohorts, &written.record));
  } else {
    FUZZ_CLAIM(written.record.has_ending() ||
               token::CoveringCohort(held.record, held.cohorts) == nullptr);
  }
  // What is left of it when it is purged is as final as it was.
  if (written.record.has_ending() && token::IsFinal(written.StateAt(Now()))) {
    const TokenRecord left = storage::RecordOfPurged(storage::PurgedDigest(written.record), "d");
    FUZZ_CLAIM(token::IsFinal(token::StateAt(left, {}, Now())));
  }
  // Nothing is purged before it has ended.
  if (held.record.has_ending()) {
    FUZZ_CLAIM(held.policy.ended_retention_us() < service::kKeepEnded ||
               service::PurgeTime(held.record, held.policy) >=
                   service::FromRecordMicros(held.record.ending().time_us()));
  }
  FUZZ_CLAIM(service::UnusedLimit(held.record, held.policy) != absl::InfiniteDuration());
}

// Reads as callers ask for them. Any error is an answer; so is what is read of records that can be
// parsed.
void LookAtReads(const Store& store) {
  const std::string workspace = std::string("workspaces/") + kWorkspace;
  for (const char* id : kTokens) {
    const auto held = service::FindToken(store, kWorkspace, id);
    if (held.ok() && held->has_value()) LookAtToken(**held);
    v1::GetTokenRequest get;
    get.set_name(workspace + "/tokens/" + id);
    if (const auto token = service::ReadToken(store, get, Now()); token.ok()) {
      FUZZ_CLAIM(held.ok() && held->has_value());
      FUZZ_CLAIM(token->state() == (*held)->StateAt(Now()));
    }
    v1::ListTokenAttemptsRequest attempts;
    attempts.set_name(get.name());
    (void)service::ReadTokenAttempts(store, attempts, Now());
  }
  for (size_t i = 0; i < kTokens.size(); ++i) {
    const auto digest = storage::GetRecord<DigestRecord>(store, Table::kDigests, DigestOf(i));
    if (!digest.ok() || !digest->has_value() || !(*digest)->has_tombstone()) continue;
    const TokenRecord left = storage::RecordOfPurged(**digest, DigestOf(i));
    FUZZ_CLAIM(token::IsFinal(token::StateAt(left, {}, Now())));
    FUZZ_CLAIM(token::IsFinal(token::ToGrant(left, {}).state()));
  }
  v1::ListTokensRequest list;
  list.set_parent(workspace);
  (void)service::ReadTokenList(store, list, Now(), [](absl::string_view) { return true; });
  v1::GetWorkspaceRequest one;
  one.set_name(workspace);
  (void)service::ReadWorkspace(store, one);
  if (const auto audit = service::ReadAuditEntries(store, v1::ListAuditEntriesRequest(), Now());
      audit.ok()) {
    for (const v1::AuditEntry& entry : audit->entries()) FUZZ_CLAIM(base::IsValid(entry.time()));
  }
  (void)service::CheckStore(store);
  (void)storage::AllLiveTokens(store);
  (void)storage::LiveOwners(store, kWorkspace, 10);
  if (const auto head = storage::ReadHead(store); head.ok()) {
    // A commit can follow.
    FUZZ_CLAIM(head->revision() >= 0 && head->revision() < INT64_MAX);
  }
  if (const auto history = service::ReadHistory(store); history.ok()) {
    (void)history->PredecessorsDead(base::BootTime::FromNanos(1'000'000'000), absl::Minutes(1));
    (void)history->TermOf(2);
  }
}

// What time does to it. The sweep either says what is wrong, or ends tokens and revives none.
void Sweep(Store* store) {
  std::string watch;
  std::string walk;
  for (int step = 0; step < 3; ++step) {
    std::array<bool, kTokens.size()> final{};
    for (size_t i = 0; i < kTokens.size(); ++i) {
      const auto held = service::FindToken(*store, kWorkspace, kTokens[i]);
      final[i] = held.ok() && held->has_value() && token::IsFinal((*held)->StateAt(Now()));
    }
    service::SilenceEvidence evidence;
    evidence.heard_until = Now();
    service::SweepCommand sweep({}, evidence, watch, walk);
    storage::Effects effects;
    storage::Slot slot;
    slot.revision = 4 + step;
    slot.now = Now();
    if (!sweep.Run(*store, slot, effects).ok()) return;
    storage::OverlayView after(store);
    (void)storage::ApplyLiveChanges(effects.live_changes, &after);
    for (storage::Mutation& mutation : effects.mutations) {
      if (mutation.value.has_value()) {
        store->Put(mutation.table, mutation.key, *mutation.value);
      } else {
        store->Remove(mutation.table, mutation.key);
      }
    }
    for (size_t i = 0; i < kTokens.size(); ++i) {
      const auto held = service::FindToken(*store, kWorkspace, kTokens[i]);
      if (!final[i] || !held.ok() || !held->has_value()) continue;
      FUZZ_CLAIM(token::IsFinal((*held)->StateAt(Now())));
    }
    watch = sweep.result().watch_cursor;
    walk = sweep.result().walk_cursor;
  }
}

void Look(absl::string_view input) {
  static const auto* const whole = new Store(Whole());
  Store store = *whole;
  while (input.size() >= 3) {
    const auto which = static_cast<uint8_t>(input[0]);
    const size_t size = static_cast<uint8_t>(input[1]) | static_cast<uint8_t>(input[2]) << 8;
    input.remove_prefix(3);
    const absl::string_view bytes = input.substr(0, size);
    input.remove_prefix(bytes.size());
    const Place& place = Places()[(which & 0x7F) % Places().size()];
    if ((which & 0x80) != 0) {
      store.Remove(place.first, place.second);
    } else {
      store.Put(place.first, place.second, std::string(bytes));
    }
  }
  LookAtReads(store);
  Sweep(&store);
  LookAtReads(store);
}

}  // namespace
}  // namespace tollgate::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const bool started = [] {
    google::protobuf::SetLogHandler(nullptr);
    return true;
  }();
  (void)started;
  tollgate::fuzz::Look(absl::string_view(reinterpret_cast<const char*>(data), size));
  return 0;
}
