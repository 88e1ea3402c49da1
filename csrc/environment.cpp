#include "environment.h"

#include <algorithm>
#include <cctype>
#include <cstdlib>
#include <stdexcept>

namespace torchconv {
namespace {

/// An unset variable counts as empty.
std::string value_of(const char* variable) {
  const char* value = std::getenv(variable);
  return value == nullptr ? "" : value;
}

}  // namespace

size_t index_of(const std::string& name, const std::vector<std::string>& names,
                const std::string& subject) {
  const auto found = std::find(names.begin(), names.end(), name);
  if (found != names.end()) return found - names.begin();
  std::string list;
  for (const std::string& known : names) list += (list.empty() ? "" : ", ") + known;
  throw std::invalid_argument(subject + " one of " + list + ", but got '" + name + "'");
}

size_t environment_choice(const char* variable, const std::vector<std::string>& names,
                          size_t otherwise, const std::string& kind) {
  const std::string value = value_of(variable);
  if (value.empty()) return otherwise;
  return index_of(value, names, std::string(variable) + ": expected" + kind);
}

bool environment_flag(const char* variable, bool otherwise) {
  std::string value = value_of(variable);
  if (value.empty()) return otherwise;
  std::transform(value.begin(), value.end(), value.begin(),
                 [](unsigned char letter) { return std::tolower(letter); });
  const std::vector<std::string> no = {"0", "false", "off", "no"}, yes = {"1", "true", "on", "yes"};
  std::vector<std::string> words = no;
  words.insert(words.end(), yes.begin(), yes.end());
  return index_of(value, words, std::string(variable) + ": expected") >= no.size();
}

}  // namespace torchconv
