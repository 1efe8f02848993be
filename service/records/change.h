// What all changes that a caller asks for have in common: the caller, the request_id that makes a
// retry safe, and the answer.
#ifndef TOLLGATE_SERVICE_RECORDS_CHANGE_H_
#define TOLLGATE_SERVICE_RECORDS_CHANGE_H_

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "absl/types/optional.h"
#include "google/protobuf/message.h"
#include "storage/command.h"
#include "storage/engine.h"
#include "token/digest.h"
#include "tollgate/store/v1/records.pb.h"

namespace tollgate::service {

// How long the first answer to a request_id is kept.
inline constexpr absl::Duration kRequestLifetime = absl::Hours(24);
// The detail of an audit entry that names the operator token by which its actor was known.
inline constexpr char kOperatorTokenDetail[] = "operator_token";
// The name of the service itself in the audit log.
inline constexpr char kServiceActor[] = "tollgated";

// The token that the caller of a command has minted for it. The token string itself never enters a
// command; it is added to the answer after the commit, unless the answer withholds it.
struct MintedToken {
  std::string public_id;
  token::StoredDigest stored_digest;
  uint32_t pepper_id = 0;
  char kind = 'w';
};

// FAILED_PRECONDITION, CLOCK_IN_DOUBT, where the clock is in doubt (R20): `what` would have an end
// that is computed from now. OK where it is not.
absl::Status RefuseInDoubt(const storage::Slot& slot, absl::string_view what);

// BLAKE2b-256 over a request's deterministic serialisation, without the fields that may differ
// between a call and its retry: request_id, wait_enforced, and what the caller has seen, or takes
// for granted, before it (etag, expected_count, validate_only, create_workspace).
std::string RequestFingerprint(const google::protobuf::Message& request);

// ABORTED, ETAG_MISMATCH, where `given` is set and is not `current` (AIP-154): the caller has read
// an earlier state than the one that it would change.
absl::Status CheckEtag(absl::string_view given, absl::string_view current, absl::string_view field);

// Who asks for a change, and under which request_id.
struct ChangeContext {
  std::string method;
  std::string workspace;  // "" where the request names none
  std::string actor;
  std::string request_id;   // "": a retry is a new request
  std::string fingerprint;  // of the request
};

// The first answer to a request_id, serialized; nullopt where there is none. ALREADY_EXISTS,
// REQUEST_ID_REUSED, where the id was another request's.
absl::StatusOr<absl::optional<std::string>> FirstAnswer(const storage::View& view,
                                                        const ChangeContext& context);

// A change with a request_id. The same id of the same actor, method and workspace, with the same
// request, gets the first answer again and changes nothing; with another request it is refused
// (ALREADY_EXISTS, REQUEST_ID_REUSED). The record of the request lies in the store, so this holds
// within one batch and after a restart. A refused request leaves no record: its retry is judged
// anew.
class Change : public storage::Command {
 public:
  // Returns the first answer where there is one, otherwise Apply()s. Pure, and may be run again
  // (storage/command.h).
  absl::Status Run(const storage::View& view, const storage::Slot& slot,
                   storage::Effects& effects) final;

  // The method's name, as in "create_token".
  absl::string_view name() const override { return context_.method; }
  // What changes operator tokens: whoever presented one may be nobody behind it.
  bool ends_batch() const override;
  // Whether the answer is that of an earlier request. Set once Run has returned OK.
  bool replayed() const { return replayed_; }
  // The audit entries of the change; none for a retry. Set once Run has returned OK.
  const std::vector<store::v1::AuditRecord>& audited() const { return audited_; }
  // From where the caller asks, for the audit entries; empty: not known. Set before Run.
  void set_origin(std::string origin) { origin_ = std::move(origin); }
  // The public id of the operator token that the caller has presented, for the audit entries;
  // empty: none. Set before Run.
  void set_operator_token_id(std::string id) { operator_token_id_ = std::move(id); }
  // Asked before the change is made, by bindings as of the last commit: a role may have been
  // withdrawn while the command was queued. Never blocks; empty: everybody may. Set before Run.
  void set_may(std::function<absl::Status()> may) { may_ = std::move(may); }
  const std::string& actor() const { return context_.actor; }
  const std::string& workspace() const { return context_.workspace; }

 protected:
  using Context = ChangeContext;
  explicit Change(Context context) : context_(std::move(context)) {}

  // Makes the change itself: checks that depend on the state, effects, and the answer (empty at
  // first).
  virtual absl::Status Apply(const storage::View& view, const storage::Slot& slot,
                             storage::Effects& effects) = 0;
  virtual google::protobuf::Message* mutable_answer() = 0;
  // Called when mutable_answer() holds the answer to a retry.
  virtual void OnReplay() {}

 private:
  // Applies, and adds to the audit entries from where that was asked for.
  absl::Status ApplyAudited(const storage::View& view, const storage::Slot& slot,
                            storage::Effects& effects);

  const Context context_;
  std::string origin_;
  std::string operator_token_id_;
  std::function<absl::Status()> may_;
  bool replayed_ = false;
  std::vector<store::v1::AuditRecord> audited_;
};

// A Change with its answer.
template <typename Response>
class ChangeTo : public Change {
 public:
  // The answer. Valid once the command was committed; never holds a token string.
  const Response& response() const { return response_; }

 protected:
  using Change::Change;
  google::protobuf::Message* mutable_answer() final { return &response_; }
  Response response_;
};

}  // namespace tollgate::service

#endif  // TOLLGATE_SERVICE_RECORDS_CHANGE_H_
