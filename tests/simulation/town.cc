#include "tests/simulation/town.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "google/protobuf/util/time_util.h"
#include "service/sweep/sweep.h"
#include "service/tokens/cancel_rotation.h"
#include "service/tokens/create_token.h"
#include "service/tokens/replan_rotation.h"
#include "service/tokens/retire_token.h"
#include "service/tokens/revoke_cohort.h"
#include "service/tokens/revoke_token.h"
#include "service/tokens/rotate_token.h"
#include "service/tokens/suspend_token.h"
#include "service/tokens/update_token.h"
#include "service/workspaces/set_policy.h"
#include "storage/schema.h"
#include "token/digest.h"
#include "token/resource_name.h"

namespace tollgate::simulation {

namespace {

constexpr char kActor[] = "sim";
const char* const kScopes[] = {"a:read", "b:write"};

int64_t Micros(const google::protobuf::Timestamp& t) {
  return google::protobuf::util::TimeUtil::TimestampToMicroseconds(t);
}

// When a token is to be retired, as its plan says; 0: at no time.
int64_t PlannedUs(const v1::Token& token) {
  return token.retire_plan().has_at_time() ? Micros(token.retire_plan().at_time()) : 0;
}

v1::RetirePlan SomePlan(World* world) {
  v1::RetirePlan plan;
  if (world->Chance(0.7)) {
    *plan.mutable_at_time() =
        google::protobuf::util::TimeUtil::MicrosecondsToTimestamp(absl::ToUnixMicros(
            NodeClock::WallAt(world->now() + world->Between(300, 6000) * kMillisecond)));
  } else {
    plan.set_by_hand(true);
  }
  return plan;
}

// A change by a newer service, which tells of it in a way that this build does not know.
class NewerChange : public storage::Command {
 public:
  NewerChange(std::string workspace, std::string token_id)
      : workspace_(std::move(workspace)), token_id_(std::move(token_id)) {}
  absl::string_view name() const override { return "newer_change"; }
  absl::Status Run(const storage::View& view, const storage::Slot& slot,
                   storage::Effects& effects) override {
    const std::string key = storage::TokenKey(workspace_, token_id_);
    auto record = *storage::GetRecord<store::v1::TokenRecord>(view, storage::Table::kTokens, key);
    if (!record.has_value() || record->has_ending()) return absl::NotFoundError("no such token");
    record->set_suspended(true);
    record->set_update_revision(slot.revision);
    effects.Put(storage::Table::kTokens, key, *record);
    effects.Tell(v1::Event());  // its subject is a field that this build skips
    return absl::OkStatus();
  }

 private:
  const std::string workspace_;
  const std::string token_id_;
};

}  // namespace

int Town::Mint() {
  SimToken token;
  token.workspace = world_->Chance(0.8) ? "acme" : "globex";
  token.owner = world_->Pick<const char*>({"", "ada", "bob"});
  token::TokenFormat::Minted minted = format_.Mint(token::TokenKind::kWorkspace, world_->rng());
  token.token_string = std::string(minted.token_string.RevealSecret());
  token.public_id = minted.public_id;
  token.minted = service::MintedToken{minted.public_id,
                                      keyring_.Digest(token::EdgeDigest::Of(token.token_string)),
                                      keyring_.primary_id(), 'w'};
  tokens_.push_back(std::move(token));
  return static_cast<int>(tokens_.size()) - 1;
}

int Town::AnyToken() {
  if (!recent_.empty() && world_->Chance(0.5)) {
    return *std::next(recent_.begin(), static_cast<int64_t>(world_->rng().Uniform(recent_.size())));
  }
  return static_cast<int>(world_->rng().Uniform(tokens_.size()));
}

void Town::AfterChange(ServiceNode& service, int64_t revision, int revoked) {
  if (!world_->Chance(0.6)) return;
  service::ReceiptQuestion question;
  question.revision = revision;
  if (revoked >= 0) {
    question.workspace = tokens_[revoked].workspace;
    question.token_id = tokens_[revoked].public_id;
  }
  service.WaitEnforced(
      question, absl::Milliseconds(world_->Between(10, 8000)),
      [this, revoked, node = &service, history = service.disk()->history](v1::Receipt receipt) {
        OnReceipt(history, receipt);
        if (revoked < 0 || !use_is_whole_ || world_->broken() ||
            receipt.state() != v1::ENFORCEMENT_STATE_ENFORCED) {
          return;
        }
        const SimToken& token = tokens_[revoked];
        oracle_.JudgeLastAdmits(revoked, receipt, node->HeardOf(token.workspace, token.public_id));
      });
}

// Every change of a client goes through this: the oracle learns of it when it is in the store, the
// client when it is answered.
#define TOLLGATE_PROPOSE(service, made, applied)                                                 \
  do {                                                                                           \
    auto made_ = (made);                                                                         \
    if (!made_.ok()) return world_->Break("set-up", std::string(made_.status().message()));      \
    auto command_ = *made_;                                                                      \
    auto history_ = (service)->disk()->history;                                                  \
    (service)->Propose(                                                                          \
        command_,                                                                                \
        [this, command = command_, history = history_, apply = (applied)](                       \
            int64_t revision, uint32_t index) { apply(*command, *history, revision, index); },   \
        [this,                                                                                   \
         node = (service).get()](const absl::StatusOr<::tollgate::storage::Committed>& result) { \
          if (result.ok()) AfterChange(*node, result->revision);                                 \
        });                                                                                      \
  } while (false)

void Town::Create(int token, bool lasting) {
  const std::shared_ptr<ServiceNode> service = Reachable();
  if (service == nullptr) return;
  SimToken& t = tokens_[token];
  t.proposed = true;
  v1::CreateTokenRequest request;
  request.set_parent(token::WorkspaceName(t.workspace));
  request.set_create_workspace(true);
  request.mutable_token()->set_label("deploy");
  request.mutable_token()->set_owner(t.owner);
  for (const char* scope : kScopes) {
    if (world_->Chance(0.7)) request.mutable_token()->add_scopes(scope);
  }
  if (!lasting && world_->Chance(0.2)) {
    *request.mutable_lifetime() =
        google::protobuf::util::TimeUtil::MillisecondsToDuration(world_->Between(500, 12'000));
  }
  recent_.insert(token);
  TOLLGATE_PROPOSE(service, service::CreateTokenCommand::Make(request, kActor, t.minted),
                   ([this, token](const service::CreateTokenCommand& command, History& history,
                                  int64_t revision, uint32_t index) {
                     TokenTruth truth;
                     truth.exists = true;
                     truth.workspace = tokens_[token].workspace;
                     truth.owner = tokens_[token].owner;
                     truth.create_revision = revision;
                     truth.create_index = index;
                     const v1::Token& made = command.response().token();
                     truth.scopes.insert(made.scopes().begin(), made.scopes().end());
                     if (made.has_expire_time()) truth.expire_us = Micros(made.expire_time());
                     world_->Note("token created", truth.owner, token, revision, index);
                     ProbeExpiry(token, truth.expire_us);
                     history.Set(token, revision, truth);
                   }));
}

void Town::ChangeToken(int token) {
  const std::shared_ptr<ServiceNode> service = Reachable();
  if (service == nullptr) return;
  const SimToken& t = tokens_[token];
  const std::string name = token::FormatTokenName(t.workspace, t.public_id);
  recent_.insert(token);
  // Gives the change's effect to the oracle, unless the token has ended.
  const auto set = [this, token](History& history, int64_t revision, auto change) {
    TokenTruth truth = history.Now(token);
    if (!truth.exists) return;
    change(truth);
    world_->Note(truth.Off() ? "token changed, off" : "token changed, good", "", token, revision);
    history.Set(token, revision, truth);
  };
  const uint64_t what = world_->rng().Uniform(10);
  if (what < 4) {
    Revoke(token);
  } else if (what < 6) {
    v1::SuspendTokenRequest request;
    request.set_name(name);
    TOLLGATE_PROPOSE(service, service::SuspendTokenCommand::Make(request, kActor),
                     ([set](const auto&, History& history, int64_t revision, uint32_t) {
                       set(history, revision, [](TokenTruth& truth) { truth.suspended = true; });
                     }));
  } else if (what < 8) {
    v1::ResumeTokenRequest request;
    request.set_name(name);
    TOLLGATE_PROPOSE(service, service::ResumeTokenCommand::Make(request, kActor),
                     ([set](const auto&, History& history, int64_t revision, uint32_t) {
                       set(history, revision, [](TokenTruth& truth) { truth.suspended = false; });
                     }));
  } else {
    v1::UpdateTokenRequest request;
    request.mutable_token()->set_name(name);
    for (const char* scope : kScopes) {
      if (world_->Chance(0.5)) request.mutable_token()->add_scopes(scope);
    }
    request.mutable_update_mask()->add_paths("scopes");
    const std::set<std::string> scopes(request.token().scopes().begin(),
                                       request.token().scopes().end());
    TOLLGATE_PROPOSE(service, service::UpdateTokenCommand::Make(request, kActor),
                     ([set, scopes](const auto&, History& history, int64_t revision, uint32_t) {
                       set(history, revision,
                           [&scopes](TokenTruth& truth) { truth.scopes = scopes; });
                     }));
  }
}

void Town::Revoke(int token) {
  const std::shared_ptr<ServiceNode> service = Reachable();
  if (service == nullptr) return;
  v1::RevokeTokenRequest request;
  request.set_name(token::FormatTokenName(tokens_[token].workspace, tokens_[token].public_id));
  recent_.insert(token);
  const std::shared_ptr<History> history = service->disk()->history;
  // Otherwise the token had ended before: no event tells of it, and no edge reports it.
  const auto took = std::make_shared<bool>(false);
  service->Propose(
      *service::RevokeTokenCommand::Make(request, kActor),
      [this, token, history, took](int64_t revision, uint32_t) {
        TokenTruth truth = history->Now(token);
        if (!truth.exists) return;
        *took = truth.end == TokenTruth::End::kNone;
        if (*took) truth.end = TokenTruth::End::kRevoked;
        world_->Note("token revoked", "", token, revision);
        history->Set(token, revision, truth);
      },
      [this, token, took, node = service.get()](const absl::StatusOr<storage::Committed>& result) {
        if (result.ok()) AfterChange(*node, result->revision, *took ? token : -1);
      });
}

void Town::RevokeCohort() {
  const std::shared_ptr<ServiceNode> service = Reachable();
  if (service == nullptr) return;
  v1::RevokeTokensRequest request;
  const std::string workspace = world_->Chance(0.7) ? "acme" : "globex";
  const std::string owner = world_->Pick<const char*>({"", "ada", "bob", "ada"});
  request.set_parent(token::WorkspaceName(workspace));
  request.set_owner(owner);
  request.set_allow_empty(true);
  TOLLGATE_PROPOSE(
      service, service::RevokeCohortCommand::Make(request, kActor),
      ([this, workspace, owner](const auto&, History& history, int64_t revision, uint32_t index) {
        // Commands of a batch are applied in their order: what exists here was created before.
        std::vector<std::pair<int, TokenTruth>> hit;
        for (const auto& [token, versions] : history.tokens()) {
          const TokenTruth& truth = history.At(token, revision);
          if (truth.exists && truth.workspace == workspace &&
              (owner.empty() || truth.owner == owner) && truth.end == TokenTruth::End::kNone) {
            hit.emplace_back(token, truth);
          }
        }
        world_->Note("cohort revoked", absl::StrCat(workspace, "/", owner), revision, index,
                     static_cast<int64_t>(hit.size()));
        for (auto& [token, truth] : hit) {
          truth.end = TokenTruth::End::kRevoked;
          history.Set(token, revision, truth);
          recent_.insert(token);
        }
      }));
}

void Town::Rotate(int token, bool again) {
  const std::shared_ptr<ServiceNode> service = Reachable();
  if (service == nullptr) return;
  const int made = Mint();
  tokens_[made].workspace = tokens_[token].workspace;
  tokens_[made].owner = tokens_[token].owner;
  tokens_[made].proposed = true;
  v1::RotateTokenRequest request;
  request.set_name(token::FormatTokenName(tokens_[token].workspace, tokens_[token].public_id));
  request.set_again(again);
  if (!again || world_->Chance(0.5)) *request.mutable_retire_plan() = SomePlan(world_);
  recent_.insert(token);
  recent_.insert(made);
  TOLLGATE_PROPOSE(
      service, service::RotateTokenCommand::Make(request, kActor, tokens_[made].minted),
      ([this, token, made, again](const service::RotateTokenCommand& command, History& history,
                                  int64_t revision, uint32_t index) {
        TokenTruth old = history.Now(token);
        if (!old.exists) return;
        TokenTruth fresh = old;
        fresh.suspended = false;
        fresh.end = TokenTruth::End::kNone;
        fresh.retire_us = 0;
        fresh.given_up = false;
        fresh.create_revision = revision;
        fresh.create_index = index;
        const v1::Token& token_made = command.response().token();
        fresh.expire_us = token_made.has_expire_time() ? Micros(token_made.expire_time()) : 0;
        // A time that a lost rotation left, by a replay: the token still ends then.
        if (old.retire_us != 0 && !again) {
          old.expire_us =
              old.expire_us == 0 ? old.retire_us : std::min(old.expire_us, old.retire_us);
        }
        old.retire_us = PlannedUs(command.response().replaced());
        NoteGivenUp(command.response().given_up(), history, revision);
        world_->Note("token rotated", "", token, made, revision);
        history.Set(token, revision, old);
        history.Set(made, revision, fresh);
      }));
}

void Town::MendRotation(int token) {
  const std::shared_ptr<ServiceNode> service = Reachable();
  if (service == nullptr) return;
  if (world_->Chance(0.4)) return Rotate(token, /*again=*/true);
  const std::string name =
      token::FormatTokenName(tokens_[token].workspace, tokens_[token].public_id);
  recent_.insert(token);
  if (world_->Chance(0.5)) {
    v1::ReplanRotationRequest request;
    request.set_name(name);
    *request.mutable_retire_plan() = SomePlan(world_);
    TOLLGATE_PROPOSE(service, service::ReplanRotationCommand::Make(request, kActor),
                     ([this, token](const service::ReplanRotationCommand& command, History& history,
                                    int64_t revision, uint32_t) {
                       TokenTruth truth = history.Now(token);
                       truth.retire_us = PlannedUs(command.response().token());
                       world_->Note("rotation planned anew", "", token, revision);
                       history.Set(token, revision, truth);
                     }));
    return;
  }
  v1::CancelRotationRequest request;
  request.set_name(name);
  TOLLGATE_PROPOSE(service, service::CancelRotationCommand::Make(request, kActor),
                   ([this, token](const service::CancelRotationCommand& command, History& history,
                                  int64_t revision, uint32_t) {
                     TokenTruth truth = history.Now(token);
                     truth.retire_us = 0;
                     world_->Note("rotation taken back", "", token, revision);
                     history.Set(token, revision, truth);
                     NoteGivenUp(command.response().given_up(), history, revision);
                   }));
}

void Town::NoteGivenUp(const v1::Token& given_up, History& history, int64_t revision) {
  if (given_up.name().empty() || given_up.has_end()) return;
  for (size_t i = 0; i < tokens_.size(); ++i) {
    if (tokens_[i].public_id != given_up.token_id()) continue;
    TokenTruth truth = history.Now(static_cast<int>(i));
    truth.given_up = true;
    world_->Note("replacement given up", "", static_cast<int>(i), revision);
    history.Set(static_cast<int>(i), revision, truth);
    recent_.insert(static_cast<int>(i));
  }
}

void Town::Sweep(bool compact) {
  const std::shared_ptr<ServiceNode> service = Reachable();
  if (service == nullptr || !service->serving()) return;
  service::SweepCommand::Limits limits;
  if (compact) limits.event_retention_count = world_->Between(0, 8);
  auto command = std::make_shared<service::SweepCommand>(
      limits, service::SilenceEvidence{NodeClock::WallAt(world_->now()), {}, {}}, "");
  const std::shared_ptr<Disk> disk = service->disk();
  service->Propose(
      command,
      [this, disk](int64_t revision, uint32_t) {
        auto snapshot = *disk->engine->NewSnapshot();
        for (const auto& [token, versions] : disk->history->tokens()) {
          TokenTruth truth = disk->history->Now(token);
          if (!truth.exists || truth.end != TokenTruth::End::kNone) continue;
          if (truth.expire_us == 0 && truth.retire_us == 0 && !truth.given_up) continue;
          const auto record = *storage::GetRecord<store::v1::TokenRecord>(
              *snapshot, storage::Table::kTokens,
              storage::TokenKey(truth.workspace, tokens_[token].public_id));
          // Ended by time, and not by a later command of the same batch.
          if (!record.has_value() || !record->has_ending() ||
              record->ending().kind() == store::v1::Ending::KIND_REVOKED) {
            continue;
          }
          if (!truth.given_up) oracle_.OnEndedByTime(token, truth);
          truth.end = TokenTruth::End::kExpired;
          world_->Note("token swept", "", token, revision);
          disk->history->Set(token, revision, truth);
          recent_.insert(token);
        }
      },
      [this, node = service.get()](const absl::StatusOr<storage::Committed>& result) {
        if (result.ok()) AfterChange(*node, result->revision);
        // Nothing would end by time any more: the next one finds what this one did.
        if (absl::IsInternal(result.status())) world_->Break("R18", result.status().ToString());
      });
}

void Town::NewerServiceChange(int token) {
  const std::shared_ptr<ServiceNode> service = Reachable();
  if (service == nullptr) return;
  recent_.insert(token);
  const std::shared_ptr<History> history = service->disk()->history;
  service->Propose(
      std::make_shared<NewerChange>(tokens_[token].workspace, tokens_[token].public_id),
      [this, token, history](int64_t revision, uint32_t) {
        TokenTruth truth = history->Now(token);
        truth.suspended = true;
        world_->Note("token changed, by a newer service", "", token, revision);
        history->Set(token, revision, truth);
      },
      [this, node = service.get()](const absl::StatusOr<storage::Committed>& result) {
        if (result.ok()) AfterChange(*node, result->revision);
      });
}

void Town::AnnotateNowAndThen() {
  base::SeededRandom& rng = world_->policy_rng();
  world_->After(static_cast<int64_t>(50 + rng.Uniform(400)) * kMillisecond, 0, [this, &rng] {
    if (healing_) return;
    if (!quiet_) rng.Uniform(3) == 0 ? NameAnnotations() : Annotate(AnyToken());
    if (!quiet_ && rng.Uniform(4) == 0) MendRotation(AnyToken());
    AnnotateNowAndThen();
  });
}

void Town::NameAnnotations() {
  const std::shared_ptr<ServiceNode> service = Reachable();
  if (service == nullptr) return;
  base::SeededRandom& rng = world_->policy_rng();
  const std::string workspace = rng.Uniform(4) == 0 ? "globex" : "acme";
  v1::UpdateWorkspacePolicyRequest request;
  request.set_name(token::WorkspaceName(workspace));
  for (const char* key : {"plan", "team"}) {
    if (rng.Uniform(2) == 0) request.mutable_policy()->add_edge_annotations(key);
  }
  request.mutable_update_mask()->add_paths("edge_annotations");
  // What ended a second ago goes, in half of the towns' lives: no edge may notice.
  request.mutable_update_mask()->add_paths("ended_retention");
  if (rng.Uniform(2) == 0) request.mutable_policy()->mutable_ended_retention()->set_seconds(1);
  const std::set<std::string> keys(request.policy().edge_annotations().begin(),
                                   request.policy().edge_annotations().end());
  TOLLGATE_PROPOSE(
      service, service::SetPolicyCommand::Make(request, kActor),
      ([this, workspace, keys](const auto&, History& history, int64_t revision, uint32_t index) {
        world_->Note("policy names annotations", workspace, static_cast<int64_t>(keys.size()),
                     revision, index);
        history.SetKeys(workspace, revision, keys);
      }));
}

void Town::Annotate(int token) {
  const std::shared_ptr<ServiceNode> service = Reachable();
  if (service == nullptr) return;
  base::SeededRandom& rng = world_->policy_rng();
  v1::UpdateTokenRequest request;
  request.mutable_token()->set_name(
      token::FormatTokenName(tokens_[token].workspace, tokens_[token].public_id));
  for (const char* key : {"plan", "team"}) {
    if (rng.Uniform(3) == 0) continue;
    (*request.mutable_token()->mutable_annotations())[key] = absl::StrCat(rng.Uniform(4));
  }
  request.mutable_update_mask()->add_paths("annotations");
  recent_.insert(token);
  const std::map<std::string, std::string> annotations(request.token().annotations().begin(),
                                                       request.token().annotations().end());
  TOLLGATE_PROPOSE(
      service, service::UpdateTokenCommand::Make(request, kActor),
      ([this, token, annotations](const auto&, History& history, int64_t revision, uint32_t) {
        TokenTruth truth = history.Now(token);
        if (!truth.exists) return;
        truth.annotations = annotations;
        truth.told = history.Told(truth.workspace, revision, annotations);
        world_->Note("token annotated", "", token, revision);
        history.Set(token, revision, truth);
      }));
}

void Town::ChangeSomething() {
  while (recent_.size() > 12) {
    recent_.erase(
        std::next(recent_.begin(), static_cast<int64_t>(world_->rng().Uniform(recent_.size()))));
  }
  const uint64_t what = world_->rng().Uniform(100);
  if (what < 35) {
    // A token that was minted before, and perhaps asked about already, or a new one.
    for (int tries = 0; tries < 3; ++tries) {
      const int token = AnyToken();
      if (!disk_->history->Now(token).exists) return Create(token);
    }
    Create(Mint());
  } else if (what < 75) {
    ChangeToken(AnyToken());
  } else if (what < 81) {
    RevokeCohort();
  } else if (what < 90) {
    Rotate(AnyToken());
  } else if (what < 98) {
    Sweep(false);
  } else {
    NewerServiceChange(AnyToken());
  }
}

void Town::AskForReceipt() {
  const std::shared_ptr<ServiceNode> service = Reachable();
  if (service == nullptr || !service->serving() || world_->Paused(service->node())) return;
  const int64_t head = service->head();
  const int64_t revision = std::max<int64_t>(1, head - world_->Between(0, 6));
  OnReceipt(service->disk()->history, service->ReceiptFor(revision));
}

void Town::OnReceipt(const std::shared_ptr<History>& history, const v1::Receipt& receipt) {
  if (world_->broken()) return;
  world_->Note(
      receipt.state() == v1::ENFORCEMENT_STATE_ENFORCED ? "receipt: ENFORCED" : "receipt: pending",
      history->epoch().substr(0, 4), receipt.revision(), receipt.acknowledged(), receipt.lapsed());
  if (oracle_.OnReceipt(history, receipt)) ProbeAll();
}

void Town::Probe(ValidatorNode& validator) {
  if (!validator.alive()) return;
  int left = 12;
  for (int token : recent_) {
    if (--left < 0) return;
    const TokenTruth& truth = disk_->history->Now(token);
    if (truth.exists && !truth.Off() && world_->Chance(0.7)) continue;
    validator.Check(token, tokens_[token].token_string, "", /*ask=*/false);
    if (world_->broken()) return;
  }
}

void Town::ProbeExpiry(int token, int64_t expire_us) {
  if (expire_us == 0) return;
  const int64_t at = Nanos(absl::FromUnixMicros(expire_us) - NodeClock::WallAt(0));
  for (int i = 0; i < 6; ++i) {
    world_->At(at - world_->Exponential(15 * kMillisecond), 0, [this, token] {
      ValidatorNode* validator = AnyValidator();
      if (validator == nullptr || world_->Paused(validator->node())) return;
      validator->Check(token, tokens_[token].token_string, "", /*ask=*/true);
    });
  }
}

void Town::AddHolders(int64_t until) {
  for (int i = 0; i < fate_.validators; ++i) {
    HolderSettings settings;
    settings.clock_rate = 1 + (world_->holder_rng().UniformReal() - 0.5) * fate_.drift * 0.95;
    settings.longest_lease = fate_.longest_lease;
    settings.until = until;
    const auto host = [this, i] {
      const auto index = static_cast<size_t>(i);
      return index < validators_.size() ? validators_[index] : nullptr;
    };
    const auto any = [this](uint64_t random) {
      // Mostly one that is good: of all tokens most have ended.
      size_t token = random % tokens_.size();
      for (size_t i = 0; i < tokens_.size() && random % 8 != 0; ++i) {
        const TokenTruth& truth = disk_->history->Now(static_cast<int>(token));
        if (truth.exists && !truth.Off()) break;
        token = (token + 1) % tokens_.size();
      }
      return HolderNode::Token{static_cast<int>(token), tokens_[token].token_string};
    };
    holders_.push_back(std::make_shared<HolderNode>(world_, &oracle_, settings, host, any));
    holders_.back()->Start();
  }
}

void Town::ProbeAll() {
  for (const auto& holder : holders_) holder->Judge(*disk_->history);
  for (const auto* all : {&validators_, &lingering_}) {
    for (const auto& validator : *all) {
      if (world_->broken()) return;
      if (!world_->Paused(validator->node())) Probe(*validator);
      // Asks once more soon, before or after the messages under way arrive.
      if (world_->Chance(0.3)) {
        world_->After(world_->Exponential(100 * kMillisecond), validator->node(),
                      [this, validator] { Probe(*validator); });
      }
    }
  }
}

ValidatorNode* Town::AnyValidator() {
  if (!lingering_.empty() && world_->Chance(0.2)) {
    return lingering_[world_->rng().Uniform(lingering_.size())].get();
  }
  if (validators_.empty()) return nullptr;
  return validators_[world_->rng().Uniform(validators_.size())].get();
}

void Town::CheckSomething() {
  ValidatorNode* validator = AnyValidator();
  if (validator == nullptr || !validator->alive() || world_->Paused(validator->node())) return;
  const int token = AnyToken();
  const std::string scope = world_->Chance(0.3) ? kScopes[world_->rng().Uniform(2)] : "";
  validator->Check(token, tokens_[token].token_string, scope, /*ask=*/world_->Chance(0.5));
}

}  // namespace tollgate::simulation
