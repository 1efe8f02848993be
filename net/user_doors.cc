#include "net/user_doors.h"

#include <grpcpp/security/auth_metadata_processor.h>
#include <grpcpp/security/server_credentials.h>
#include <pwd.h>
#include <unistd.h>

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "base/log.h"

namespace tollgate::net {

std::string NameOfUnixUser(uid_t uid) {
  const int64_t told = sysconf(_SC_GETPW_R_SIZE_MAX);
  std::vector<char> room(told > 0 ? static_cast<size_t>(std::min<int64_t>(told, 1 << 20)) : 16384);
  passwd entry{};
  passwd* found = nullptr;
  if (getpwuid_r(uid, &entry, room.data(), room.size(), &found) == 0 && found != nullptr &&
      found->pw_name != nullptr && found->pw_name[0] != '\0') {
    return absl::StrCat("unix:", found->pw_name);
  }
  return absl::StrCat("unix:", uid);
}

// Writes the door's user into a connection's auth context as its first call comes.
class UserDoors::Writer : public grpc::AuthMetadataProcessor {
 public:
  // Before the door gets its first connection.
  void SetUser(std::string user) {
    absl::MutexLock lock(&mu_);
    user_ = std::move(user);
  }

  bool IsBlocking() const override { return false; }

  grpc::Status Process(const InputMetadata&, grpc::AuthContext* context, OutputMetadata*,
                       OutputMetadata*) override {
    // The context is the connection's, and its calls may come at the same time. Under the lock one
    // of them writes; the others find what it wrote, and so whoever reads it later reads alone.
    absl::MutexLock lock(&mu_);
    if (!user_.empty() && context->FindPropertyValues(kUnixUserProperty).empty()) {
      context->AddProperty(kUnixUserProperty, user_);
    }
    return grpc::Status::OK;
  }

 private:
  absl::Mutex mu_;
  std::string user_ ABSL_GUARDED_BY(mu_);  // empty: nobody's
};

UserDoors::UserDoors(grpc::ServerBuilder& builder) : nobodys_(MakeDoor(builder)) {
  doors_.reserve(kMostUsers);
  for (size_t i = 0; i < kMostUsers; ++i) doors_.push_back(MakeDoor(builder));
}

UserDoors::~UserDoors() = default;

UserDoors::Door UserDoors::MakeDoor(grpc::ServerBuilder& builder) {
  Door door;
  door.writer = std::make_shared<Writer>();
  const std::shared_ptr<grpc::ServerCredentials> credentials =
      grpc::experimental::LocalServerCredentials(UDS);
  credentials->SetAuthMetadataProcessor(door.writer);
  door.acceptor = builder.experimental().AddExternalConnectionAcceptor(
      grpc::ServerBuilder::experimental_type::ExternalConnectionType::FROM_FD, credentials);
  return door;
}

const UserDoors::Door& UserDoors::DoorOf(const AcceptedConnection& connection) {
  if (!connection.uid.has_value()) return nobodys_;
  const auto found = by_user_.find(*connection.uid);
  if (found != by_user_.end()) return doors_[found->second];
  if (by_user_.size() == doors_.size()) {
    base::LogSummed(
        base::LogLevel::kWarning, "a user of this host has no name here", "too many users",
        {{"uid", absl::StrCat(*connection.uid)}, {"most_users", static_cast<int64_t>(kMostUsers)}});
    return nobodys_;
  }
  const Door& door = doors_[by_user_.size()];
  door.writer->SetUser(NameOfUnixUser(*connection.uid));
  by_user_.emplace(*connection.uid, by_user_.size());
  return door;
}

void UserDoors::Take(const AcceptedConnection& connection) {
  grpc::experimental::ExternalConnectionAcceptor::NewConnectionParameters parameters;
  parameters.listener_fd = -1;
  parameters.fd = connection.fd;
  DoorOf(connection).acceptor->HandleNewConnection(&parameters);
}

}  // namespace tollgate::net
