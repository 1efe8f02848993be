// An EdgeService that does what a test tells it, good or bad.
#ifndef TOLLGATE_TESTS_UNIT_VALIDATOR_SHELLS_SCRIPTED_SERVICE_H_
#define TOLLGATE_TESTS_UNIT_VALIDATOR_SHELLS_SCRIPTED_SERVICE_H_

#include <grpcpp/grpcpp.h>
#include <stdlib.h>

#include <deque>
#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/synchronization/mutex.h"
#include "absl/time/clock.h"
#include "base/proto_time.h"
#include "base/secret.h"
#include "gtest/gtest.h"
#include "net/acceptor.h"
#include "net/grpc_listeners.h"
#include "net/reactor.h"
#include "token/digest.h"
#include "tollgate/v1/edge_service.grpc.pb.h"

namespace tollgate::validator {

inline constexpr absl::Duration kPatience = absl::Seconds(30);

class ScriptedService : public v1::EdgeService::CallbackService {
 public:
  using ResolveCall = net::UnaryCall<v1::ResolveRequest, v1::ResolveResponse>;

  // The script; read and written under `mu`.
  struct Script {
    bool welcome = true;  // answers Hello
    bool pong = true;     // answers Ping
    bool resolve = true;  // answers Resolve; else it holds the calls
    absl::Duration lease = absl::Seconds(20);
    absl::Duration ping_interval = absl::Milliseconds(100);
    absl::Duration usage_interval = absl::Milliseconds(100);
    std::string epoch = "e1";
    int64_t revision = 10;
    std::map<std::string, v1::Grant> grants;  // by edge digest
  };
  // What the service has seen.
  struct Seen {
    std::vector<v1::Hello> hellos;
    std::vector<v1::ResolveRequest> questions;
    int64_t acknowledged = 0;                    // the highest applied revision in a ping
    int64_t open_holds = 0;                      // as of the last ping
    std::map<int64_t, v1::EndedHolds> of_holds;  // the last report, by revision
    int64_t uses = 0;
    bool complete_until = false;
    std::vector<std::string> order;  // "resolved", "usage", "goodbye"
  };

  ~ScriptedService() override { Stop(); }

  void Start(const std::string& listen) {
    grpc::ServerBuilder builder;
    builder.RegisterService(this);
    net::Acceptor::Options options;
    options.address = net::ParseAddress(listen).value();
    listeners_ = std::make_unique<net::GrpcListeners>();
    ASSERT_TRUE(listeners_->Add(builder, options, grpc::InsecureServerCredentials()).ok());
    server_ = builder.BuildAndStart();
    ASSERT_NE(server_, nullptr);
    ASSERT_TRUE(listeners_->Start().ok());
  }
  void Stop() {
    if (server_ == nullptr) return;
    ReleaseQuestions();
    listeners_->StopAccepting();
    server_->Shutdown(std::chrono::system_clock::now());
    server_->Wait();
    server_.reset();
  }

  // Changes the script.
  template <class F>
  void Set(F change) {
    absl::MutexLock lock(&mu_);
    change(script_);
  }
  Seen seen() {
    absl::MutexLock lock(&mu_);
    return seen_;
  }
  // Waits until `condition(seen)` holds.
  template <class F>
  bool Wait(F condition) {
    absl::MutexLock lock(&mu_);
    const auto holds = [&]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) { return condition(seen_); };
    return mu_.AwaitWithTimeout(absl::Condition(&holds), kPatience);
  }

  void AddGrant(const std::string& token_string, v1::Grant grant) {
    absl::MutexLock lock(&mu_);
    script_.grants[std::string(token::EdgeDigest::Of(token_string).bytes())] = std::move(grant);
  }

  // Sends the next revision, with one event about a token.
  int64_t PushChanged(const std::string& workspace, const std::string& token_id) {
    v1::FollowResponse message;
    std::shared_ptr<Stream> stream;
    int64_t revision;
    {
      absl::MutexLock lock(&mu_);
      revision = ++script_.revision;
      stream = present_;
    }
    v1::RevisionEvents* events = message.mutable_events()->add_revisions();
    events->set_revision(revision);
    v1::TokenChanged* changed = events->add_events()->mutable_token_changed();
    changed->set_workspace(workspace);
    changed->set_token_id(token_id);
    if (stream != nullptr) stream->Push(message);
    return revision;
  }
  void GoAway() {
    v1::FollowResponse message;
    message.mutable_go_away()->set_reason("max_age");
    if (auto stream = present()) stream->Push(message);
  }
  void Disconnect() {
    if (auto stream = present()) stream->Abort(absl::UnavailableError("gone"));
  }
  // Answers the questions that were held, and no longer holds any.
  void ReleaseQuestions() {
    std::vector<std::shared_ptr<ResolveCall>> held;
    {
      absl::MutexLock lock(&mu_);
      script_.resolve = true;
      held.swap(held_);
    }
    for (auto& call : held) AnswerQuestion(std::move(call));
  }

  grpc::ServerUnaryReactor* Resolve(grpc::CallbackServerContext* context,
                                    const v1::ResolveRequest* request,
                                    v1::ResolveResponse* response) override {
    return ResolveCall::Serve(context, request, response,
                              [this](std::shared_ptr<ResolveCall> call) {
                                {
                                  absl::MutexLock lock(&mu_);
                                  seen_.questions.push_back(call->request());
                                  if (!script_.resolve) {
                                    held_.push_back(std::move(call));
                                    return;
                                  }
                                }
                                AnswerQuestion(std::move(call));
                              });
  }

  grpc::ServerBidiReactor<v1::FollowRequest, v1::FollowResponse>* Follow(
      grpc::CallbackServerContext* context) override {
    auto stream = std::make_shared<Stream>(this, context);
    {
      absl::MutexLock lock(&mu_);
      present_ = stream;
    }
    return stream->Start();
  }

 private:
  class Stream : public net::BidiStream<v1::FollowRequest, v1::FollowResponse> {
   public:
    Stream(ScriptedService* service, grpc::CallbackServerContext* context)
        : BidiStream(context), service_(service) {}
    void Push(v1::FollowResponse message) {
      {
        absl::MutexLock lock(&mu_);
        queue_.push_back(std::move(message));
      }
      Wake();
    }

   private:
    bool NextToWrite(v1::FollowResponse* out) override {
      absl::MutexLock lock(&mu_);
      if (queue_.empty()) return false;
      *out = std::move(queue_.front());
      queue_.pop_front();
      return true;
    }
    void OnMessage(v1::FollowRequest& message) override {
      v1::FollowResponse answer;
      if (service_->Answer(message, &answer)) Push(answer);
    }

    ScriptedService* const service_;
    absl::Mutex mu_;
    std::deque<v1::FollowResponse> queue_ ABSL_GUARDED_BY(mu_);
  };

  std::shared_ptr<Stream> present() {
    absl::MutexLock lock(&mu_);
    return present_;
  }

  bool Answer(const v1::FollowRequest& message, v1::FollowResponse* answer) {
    absl::MutexLock lock(&mu_);
    switch (message.message_case()) {
      case v1::FollowRequest::kHello: {
        seen_.hellos.push_back(message.hello());
        v1::Welcome* welcome = answer->mutable_welcome();
        welcome->set_epoch(script_.epoch);
        welcome->set_revision(script_.revision);
        welcome->set_reset(message.hello().epoch() != script_.epoch);
        *welcome->mutable_ping_interval() = base::ToProto(script_.ping_interval);
        *welcome->mutable_usage_interval() = base::ToProto(script_.usage_interval);
        return script_.welcome;
      }
      case v1::FollowRequest::kPing: {
        seen_.acknowledged = std::max(seen_.acknowledged, message.ping().applied_revision());
        seen_.open_holds = message.ping().open_holds();
        for (const v1::EndedHolds& holds : message.ping().ended_holds()) {
          seen_.of_holds[holds.revision()] = holds;
        }
        v1::Pong* pong = answer->mutable_pong();
        pong->set_sequence(message.ping().sequence());
        pong->set_revision(script_.revision);
        *pong->mutable_lease() = base::ToProto(script_.lease);
        pong->mutable_service_time()->set_seconds(absl::ToUnixSeconds(absl::Now()));
        return script_.pong;
      }
      case v1::FollowRequest::kUsage:
        for (const auto& use : message.usage().uses()) seen_.uses += use.count();
        seen_.complete_until |= message.usage().has_complete_until();
        if (message.usage().uses_size() > 0) seen_.order.push_back("usage");
        return false;
      case v1::FollowRequest::kGoodbye:
        seen_.order.push_back("goodbye");
        return false;
      case v1::FollowRequest::MESSAGE_NOT_SET:
        return false;
    }
    return false;
  }

  void AnswerQuestion(std::shared_ptr<ResolveCall> call) {
    v1::ResolveResponse answer;
    {
      absl::MutexLock lock(&mu_);
      answer.set_epoch(script_.epoch);
      answer.set_revision(script_.revision);
      const auto it = script_.grants.find(call->request().edge_digest());
      if (it != script_.grants.end()) {
        *answer.mutable_grant() = it->second;
      } else {
        answer.set_unknown(true);
      }
      seen_.order.push_back("resolved");
    }
    call->Reply(answer);
  }

  absl::Mutex mu_;
  Script script_ ABSL_GUARDED_BY(mu_);
  Seen seen_ ABSL_GUARDED_BY(mu_);
  std::shared_ptr<Stream> present_ ABSL_GUARDED_BY(mu_);
  std::vector<std::shared_ptr<ResolveCall>> held_ ABSL_GUARDED_BY(mu_);
  std::unique_ptr<net::GrpcListeners> listeners_;
  std::unique_ptr<grpc::Server> server_;
};

// A scripted service in a folder of the test's own; each test, or its SetUp, starts it.
class ScriptedServiceTest : public ::testing::Test {
 protected:
  ScriptedServiceTest() {
    base::InitSecrets();
    std::string pattern = (std::filesystem::temp_directory_path() / "tgedge.XXXXXX").string();
    folder_ = mkdtemp(pattern.data());
    address_ = "unix:" + folder_ + "/service.sock";
  }
  void TearDown() override {
    service_.Stop();
    std::filesystem::remove_all(folder_);
  }

  std::string folder_;
  std::string address_;  // the service's
  ScriptedService service_;
};

}  // namespace tollgate::validator

#endif  // TOLLGATE_TESTS_UNIT_VALIDATOR_SHELLS_SCRIPTED_SERVICE_H_
