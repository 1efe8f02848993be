#include "net/user_doors.h"

#include <grpcpp/security/auth_metadata_processor.h>
#include <grpcpp/security/server_credentials.h>
#include <pwd.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"
#include "base/log.h"

namespace tollgate::net {

namespace {

// A name that is safe in a log and in a record, and is no uid.
bool IsPlainName(absl::string_view name) {
  constexpr size_t kLongest = 64;
  return !name.empty() && name.size() <= kLongest &&
         std::all_of(name.begin(), name.end(), absl::ascii_isgraph) &&
         !std::all_of(name.begin(), name.end(), absl::ascii_isdigit);
}

}  // namespace

absl::optional<std::string> NameOfUnixUser(uid_t uid) {
  constexpr size_t kMostRoom = 1 << 20;
  for (size_t room = 1024; room <= kMostRoom; room *= 4) {
    std::vector<char> text(room);
    passwd entry{};
    passwd* found = nullptr;
    const int error = getpwuid_r(uid, &entry, text.data(), text.size(), &found);
    if (error == ERANGE) continue;
    if (found != nullptr && IsPlainName(found->pw_name)) {
      return absl::StrCat("unix:", found->pw_name);
    }
    // Of what says that there is none, glibc knows more than one error.
    const bool answered = error == 0 || error == ENOENT || error == ESRCH;
    return answered ? absl::optional<std::string>(absl::StrCat("unix:", uid)) : absl::nullopt;
  }
  return absl::nullopt;
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
  std::string user_ ABSL_GUARDED_BY(mu_);  // empty: of a door that has no user yet
};

UserDoors::UserDoors(grpc::ServerBuilder& builder) : nobodys_(MakeDoor(builder)) {
  nobodys_.writer->SetUser(kUnknownUnixUser);
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
  absl::optional<std::string> name = NameOfUnixUser(*connection.uid);
  if (!name.has_value()) {
    base::LogSummed(base::LogLevel::kWarning, "a user of this host has no name here",
                    "the host's user database did not answer",
                    {{"uid", absl::StrCat(*connection.uid)}});
    return nobodys_;
  }
  const Door& door = doors_[by_user_.size()];
  door.writer->SetUser(*std::move(name));
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
