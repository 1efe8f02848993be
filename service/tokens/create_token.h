// Makes a token, and its workspace where that is asked for.
#ifndef TOLLGATE_SERVICE_TOKENS_CREATE_TOKEN_H_
#define TOLLGATE_SERVICE_TOKENS_CREATE_TOKEN_H_

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "service/records/change.h"
#include "tollgate/v1/token_service.pb.h"

namespace tollgate::service {

// Writes the token, its digest, its label and its due entries for the sweep; tells token_created.
//
// Refusals that depend on the state. Under the workspace's policy: LABEL_PATTERN_MISMATCH,
// SCOPE_NOT_GRANTABLE, LIFETIME_TOO_LONG (FAILED_PRECONDITION, with the field), LABEL_TAKEN
// (ALREADY_EXISTS). Also EXPIRE_TIME_PAST; and WORKSPACE_NOT_FOUND (FAILED_PRECONDITION) where
// there is no such workspace, the request does not ask for one, and the store has others.
class CreateTokenCommand : public ChangeTo<tollgate::v1::CreateTokenResponse> {
 public:
  // Checks the request's shape: INVALID_ARGUMENT with reason and field (BAD_RESOURCE_NAME, LABEL_…,
  // SCOPE_…, OUTPUT_ONLY_FIELD, LIFETIME_NOT_POSITIVE, LIFETIME_AND_EXPIRE_TIME, …).
  static absl::StatusOr<std::shared_ptr<CreateTokenCommand>> Make(
      const tollgate::v1::CreateTokenRequest& request, absl::string_view actor, MintedToken minted);

  // The caller may not make workspaces: the first token of all brings none with it, so that nobody
  // is told whether there is another. Before Run.
  void MakeNoWorkspace() { makes_none_ = true; }

 protected:
  absl::Status Apply(const storage::View& view, const storage::Slot& slot,
                     storage::Effects& effects) override;
  void OnReplay() override { response_.set_secret_withheld(true); }

 private:
  CreateTokenCommand(Context context, const tollgate::v1::CreateTokenRequest& request,
                     MintedToken minted)
      : ChangeTo(std::move(context)), request_(request), minted_(std::move(minted)) {}

  const tollgate::v1::CreateTokenRequest request_;
  const MintedToken minted_;
  bool makes_none_ = false;
};

}  // namespace tollgate::service

#endif  // TOLLGATE_SERVICE_TOKENS_CREATE_TOKEN_H_
