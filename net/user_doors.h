// Tells the calls of a Unix socket which user of this host made their connection.
//
// A call of gRPC 1.51 knows its connection by two things: the peer's name, which for a Unix socket
// is the same for everybody, and the auth context, which belongs to the credentials that the
// connection came in by. So each user has a door of its own (an external acceptor with credentials
// of its own), and the door writes its user into the auth context of each of its connections. Doors
// can be made only before the server is; so there is a number of them, which users get as they
// come.
#ifndef TOLLGATE_NET_USER_DOORS_H_
#define TOLLGATE_NET_USER_DOORS_H_

#include <grpcpp/server_builder.h>
#include <sys/types.h>

#include <cstddef>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "absl/types/optional.h"
#include "net/acceptor.h"

namespace tollgate::net {

// Of a connection's auth context: `unix:` and the user's name. Nothing that a client sends becomes
// a property of this name.
inline constexpr char kUnixUserProperty[] = "unix-user";

// The caller over a Unix socket whose user is not known. No role can be given to this name.
inline constexpr char kUnknownUnixUser[] = "unix:";

// `unix:NAME`; `unix:UID` of a user without a name, or with one that is no plain word: ASCII
// without white space, at most 64 characters, not digits alone. nullopt: the host's user database
// did not answer. Asks that, and so blocks for as long as it takes. Thread-safe.
absl::optional<std::string> NameOfUnixUser(uid_t uid);

// Not thread-safe: one thread hands connections on, that of the listener's acceptor.
class UserDoors {
 public:
  // So many users are told apart between a server's start and its end. Whoever comes after them is
  // kUnknownUnixUser.
  static constexpr size_t kMostUsers = 64;

  // Makes the doors. `builder` must not have made its server yet.
  explicit UserDoors(grpc::ServerBuilder& builder);
  ~UserDoors();
  UserDoors(const UserDoors&) = delete;
  UserDoors& operator=(const UserDoors&) = delete;

  // Hands a connection to gRPC, by its user's door. A user's first connection waits for the host's
  // user database, and those behind it with it; one for which that did not answer is
  // kUnknownUnixUser's, and the next one asks again. REQUIRES: the server was started.
  void Take(const AcceptedConnection& connection);

 private:
  class Writer;
  struct Door {
    std::shared_ptr<Writer> writer;
    std::shared_ptr<grpc::experimental::ExternalConnectionAcceptor> acceptor;
  };

  static Door MakeDoor(grpc::ServerBuilder& builder);
  const Door& DoorOf(const AcceptedConnection& connection);

  std::vector<Door> doors_;
  Door nobodys_;
  std::unordered_map<uid_t, size_t> by_user_;  // the first doors of them have a user
};

}  // namespace tollgate::net

#endif  // TOLLGATE_NET_USER_DOORS_H_
