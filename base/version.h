// The version of the whole tree: what every program shows, logs and tells its peers.
#ifndef TOLLGATE_BASE_VERSION_H_
#define TOLLGATE_BASE_VERSION_H_

namespace tollgate::base {

// The version, as in "0.1.0". It is written in one place, project(VERSION) of CMakeLists.txt, and
// the build passes it on; a change of it compiles version.cc again and nothing else.
extern const char kVersion[];

}  // namespace tollgate::base

#endif  // TOLLGATE_BASE_VERSION_H_
