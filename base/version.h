// The version of the whole tree: what every program shows, logs and tells its peers.
#ifndef TOLLGATE_BASE_VERSION_H_
#define TOLLGATE_BASE_VERSION_H_

namespace tollgate::base {

// As in "0.1.0". The build gives it from the one place where it is written, project(VERSION) of
// CMakeLists.txt; a change of it compiles version.cc again and nothing else.
extern const char kVersion[];

}  // namespace tollgate::base

#endif  // TOLLGATE_BASE_VERSION_H_
