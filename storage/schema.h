// Every key and record of the store, in one place (docs/store.md describes them in prose).
//
//   table       key                                             record
//   meta        "meta" | "head"                                 MetaRecord | HeadRecord
//               "count" 0 workspace 0 owner ("": in all)        CountRecord: live tokens
//               "term/" revision (8, big endian)                TermRecord
//   tokens      workspace 0 token_id                            TokenRecord
//   digests     stored digest (32 bytes)                        DigestRecord
//   workspaces  workspace                                       WorkspaceRecord
//   cohorts     workspace 0 owner ("" for the whole workspace)  CohortRecord
//   labels      workspace 0 ComparedLabel(label) 0 token_id     empty: live tokens by label
//   due         time_us (8, big endian) kind (1) subject        empty: what the sweep does next;
//                                                               EndWalkRecord (kWriteEnds)
//   requests    scope 0 request_id                              RequestRecord
//   events      revision (8, big endian)                        EventsRecord
//   audit       revision (8) index (4)                          AuditChainRecord
//   use         workspace 0 token_id 0 edge                     UseRecord: use, refused attempts
//   sessions    validator_id 0 incarnation (16 bytes)           SessionRecord
//   fingerprints  revision (8, big endian)                      FingerprintRecord
//   audit_by_token  workspace 0 token_id 0 revision (8) index (4)  empty, or kEndedWithOthers: which entries of audit
//                                                               are about a token
//   bindings    member 0 role                                   BindingRecord
//
// Workspaces, token ids, validator ids, labels, members and request ids never hold a 0 byte; they
// are checked before they reach this file.
#ifndef TOLLGATE_STORAGE_SCHEMA_H_
#define TOLLGATE_STORAGE_SCHEMA_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/optional.h"
#include "google/protobuf/message_lite.h"
#include "storage/engine.h"
#include "tollgate/store/v1/records.pb.h"

namespace tollgate::storage {

// The format this build reads and writes (MetaRecord.format); migration.h brings an earlier one
// here.
inline constexpr uint32_t kStoreFormat = 8;

// A record as it is stored. The same message always gives the same bytes (maps in key order), so
// that replicas, replays and hashes agree.
std::string SerializeRecord(const google::protobuf::MessageLite& record);

inline constexpr char kMetaKey[] = "meta";
inline constexpr char kHeadKey[] = "head";

// The key, in meta, of the count of a workspace's live tokens, or of an owner's in it.
std::string LiveCountKey(absl::string_view workspace, absl::string_view owner);
// What those keys begin with.
std::string LiveCountPrefix();
// Under it, in meta: the TermRecord of the term that begins at that revision.
std::string TermKey(int64_t from_revision);
std::string TokenKey(absl::string_view workspace, absl::string_view token_id);
std::string CohortKey(absl::string_view workspace, absl::string_view owner);
// Labels that read the same have the same key (text::ComparedLabel).
std::string LabelKey(absl::string_view workspace, absl::string_view label,
                     absl::string_view token_id);
std::string RequestKey(absl::string_view scope, absl::string_view request_id);
std::string RevisionKey(int64_t revision);               // events, fingerprints
std::string AuditKey(int64_t revision, uint32_t index);  // audit
// Of an audit entry, by its key there, among those that are about a token (audit_index.h).
std::string AuditByTokenKey(absl::string_view workspace, absl::string_view token_id,
                            absl::string_view audit_key);
// The value of an entry of audit_by_token that is not about the token alone: it is of the watermark
// that ended it, and kept when its record is purged. All others have no value.
inline constexpr absl::string_view kEndedWithOthers = "with others";
std::string UseKey(absl::string_view workspace, absl::string_view token_id, absl::string_view edge);
std::string SessionKey(absl::string_view validator_id, absl::string_view incarnation);
std::string BindingKey(absl::string_view member, absl::string_view role);

// The range of all keys that begin with `parts`, each followed by a 0 byte.
struct KeyRange {
  std::string begin;
  std::string end;
};
KeyRange WorkspaceTokens(absl::string_view workspace);
KeyRange TokensWithLabel(absl::string_view workspace, absl::string_view label);
KeyRange UsesOfToken(absl::string_view workspace, absl::string_view token_id);
KeyRange UsesOfWorkspace(absl::string_view workspace);
// The first key after every key that begins with `prefix`; "" (the table's end) where there is no
// such key.
std::string PrefixEnd(absl::string_view prefix);
// The least key above `key`.
std::string KeyAfter(absl::string_view key);

// What a due entry asks of the sweep. Subjects are token keys, request keys, or (kWriteEnds) a
// workspace.
enum class DueKind : uint8_t {
  kExpire = 1,         // a token's expire_time
  kRetire = 2,         // a rotated token's at_time
  kWatchSilent = 3,    // a rotated token with when_silent; time 0: looked at by every sweep
  kForgetRequest = 4,  // a request record's end
  kWatchUnused = 5,    // a token under a max_unused policy; the time it is looked at next
  kUnusedMark = 6,     // at time 0; its value is the time of the token's one kWatchUnused entry
  kReachUnused = 7,    // a new max_unused reaches the tokens behind this key of its workspace
  kWriteEnds = 8,      // a workspace whose watermarks' ends go into its tokens' records; time 0:
                       // looked at by every sweep; its value is an EndWalkRecord
  kPurge = 9,        // an ended token whose record goes; time 0, because nothing that ends a token
                     // may wait for it: PurgeKey
  kReachPurge = 10,  // time 0; a new retention reaches the ended tokens behind this key of its
                     // workspace
};
// `time_us` is not below 0, so that byte order is time order.
std::string DueKey(int64_t time_us, DueKind kind, absl::string_view subject);
struct Due {
  int64_t time_us;
  DueKind kind;
  std::string subject;
};
// The due key of an ended token whose record goes at `at_us`: in order of those times.
std::string PurgeKey(int64_t at_us, absl::string_view token_key);
// DATA_LOSS: `key` is not a due key.
absl::StatusOr<Due> ParseDueKey(absl::string_view key);
// The token key of a PurgeKey. DATA_LOSS: `key` is none.
absl::StatusOr<std::string> ParsePurgeKey(absl::string_view key);

// The parts of a key, between its 0 bytes (not for keys with binary parts).
struct TokenKeyParts {
  std::string workspace;
  std::string token_id;
};
absl::StatusOr<TokenKeyParts> ParseTokenKey(absl::string_view key);
struct UseKeyParts {
  std::string workspace;
  std::string token_id;
  std::string edge;
};
absl::StatusOr<UseKeyParts> ParseUseKey(absl::string_view key);
absl::StatusOr<int64_t> ParseRevisionKey(absl::string_view key);
// The key in audit that an AuditByTokenKey ends with.
absl::StatusOr<std::string> AuditKeyOf(absl::string_view audit_by_token_key);

// Reads one record; nullopt where there is none; DATA_LOSS where it cannot be parsed.
template <typename Record>
absl::StatusOr<absl::optional<Record>> GetRecord(const View& view, Table table,
                                                 absl::string_view key) {
  absl::StatusOr<absl::optional<std::string>> value = view.Get(table, key);
  if (!value.ok()) return value.status();
  if (!value->has_value()) return absl::optional<Record>();
  Record record;
  if (!record.ParseFromString(**value)) {
    return absl::DataLossError("a record of table '" + std::string(TableName(table)) +
                               "' cannot be parsed");
  }
  return absl::optional<Record>(std::move(record));
}

// The fingerprint of a revision (32 bytes); nullopt where it is not kept (compacted, from before
// format 2, or above the head). Errors: the view's; DATA_LOSS.
absl::StatusOr<absl::optional<std::string>> FingerprintAt(const View& view, int64_t revision);

// Every term of the store, in the order of their revisions. Errors: the view's; DATA_LOSS.
absl::StatusOr<std::vector<tollgate::store::v1::TermRecord>> ReadTerms(const View& view);

// Reads the head. DATA_LOSS, STORE_CORRUPT: there is none, it cannot be parsed, its revision is one
// that no store reaches, or it tells of events compacted, or committed, above its own revision.
absl::StatusOr<store::v1::HeadRecord> ReadHead(const View& view);

}  // namespace tollgate::storage

#endif  // TOLLGATE_STORAGE_SCHEMA_H_
