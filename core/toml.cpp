#include "core/toml.h"

#include <set>
#include <utility>

#include "core/error.h"
#include "core/files.h"

namespace gs {
namespace {

bool is_bare(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-';
}

void append_utf8(std::string& to, unsigned code) {
    const auto put = [&](unsigned byte) { to += static_cast<char>(byte); };
    if (code < 0x80) return put(code);
    if (code < 0x800) {
        put(0xc0 | code >> 6);
    } else {
        put(0xe0 | code >> 12);
        put(0x80 | (code >> 6 & 0x3f));
    }
    put(0x80 | (code & 0x3f));
}

class Parser {
  public:
    Parser(std::string_view text, const std::string& name) : text_(without_bom(text)), name_(name) {}

    std::vector<TomlEntry> parse() {
        std::vector<TomlEntry> entries;
        std::set<std::pair<std::string, std::string>> seen;
        std::string table;
        while (skip_to_content(), at_ < text_.size()) {
            if (take('[')) {
                table = bare_key();
                expect(']', "a table needs its ]");
            } else {
                TomlEntry entry{
                    .table = table, .key = bare_key(), .values = {}, .array = false, .line = line_};
                if (!seen.emplace(entry.table, entry.key).second) fail("'" + entry.key + "' stands twice");
                expect('=', "'" + entry.key + "' needs = and a value");
                read_value(entry);
                entries.push_back(std::move(entry));
            }
            end_of_line();
        }
        return entries;
    }

  private:
    std::string_view text_;
    const std::string& name_;
    size_t at_ = 0;
    int line_ = 1;

    [[noreturn]] void fail(const std::string& what) const {
        throw Error(ErrorKind::Usage, name_ + ":" + std::to_string(line_) + ": " + what);
    }
    char peek() const { return at_ < text_.size() ? text_[at_] : '\n'; }
    bool take(char c) {
        skip_blanks();
        if (at_ == text_.size() || text_[at_] != c) return false;
        ++at_;
        return true;
    }
    void expect(char c, const std::string& otherwise) {
        if (!take(c)) fail(otherwise);
    }
    void skip_blanks() {
        while (at_ < text_.size() && (text_[at_] == ' ' || text_[at_] == '\t' || text_[at_] == '\r')) ++at_;
    }
    // Blanks, comments and ends of lines.
    void skip_to_content() {
        while (skip_blanks(), at_ < text_.size() && (text_[at_] == '\n' || text_[at_] == '#')) {
            if (text_[at_] == '#') at_ = std::min(text_.find('\n', at_), text_.size());
            if (at_ == text_.size()) return;
            ++line_;
            ++at_;
        }
    }
    void end_of_line() {
        skip_blanks();
        if (peek() != '\n' && peek() != '#') fail("something stands after the value");
    }

    std::string bare_key() {
        skip_blanks();
        const size_t begin = at_;
        while (at_ < text_.size() && is_bare(text_[at_])) ++at_;
        if (at_ == begin) fail("a name is needed: letters, digits, - and _");
        return std::string(text_.substr(begin, at_ - begin));
    }

    void read_value(TomlEntry& entry) {
        if (!take('[')) {
            entry.values.push_back(scalar());
            return;
        }
        entry.array = true;
        while (true) {  // an array may span lines and end with a comma
            skip_to_content();
            if (take(']')) return;
            entry.values.push_back(scalar());
            skip_to_content();
            if (!take(',') && peek() != ']') fail("an array needs , between its values and ] at its end");
        }
    }

    std::string scalar() {
        skip_blanks();
        if (take('"')) return basic_string();
        if (take('\'')) return literal_string();
        const size_t begin = at_;
        while (at_ < text_.size() && (is_bare(text_[at_]) || text_[at_] == '+' || text_[at_] == '.')) ++at_;
        const std::string word(text_.substr(begin, at_ - begin));
        const bool number = !word.empty() && (std::string_view("+-.0123456789").find(word[0]) != word.npos);
        if (!number && word != "true" && word != "false" && word != "inf")
            fail(word.empty() ? "a value is needed" : "'" + word + "': text needs quotes, \"" + word + "\"");
        return word;
    }

    std::string literal_string() {
        std::string value;
        while (peek() != '\'') {
            if (peek() == '\n') fail("a string without its closing '");
            value += text_[at_++];
        }
        ++at_;
        return value;
    }

    std::string basic_string() {
        std::string value;
        while (peek() != '"') {
            if (peek() == '\n') fail("a string without its closing \"");
            const char c = text_[at_++];
            if (c == '\\')
                escape(value);
            else
                value += c;
        }
        ++at_;
        return value;
    }

    void escape(std::string& value) {
        static constexpr std::string_view kLetters = "btnfr\"\\", kMeanings = "\b\t\n\f\r\"\\";
        const char c = peek();
        ++at_;
        if (const size_t i = kLetters.find(c); i != kLetters.npos) {
            value += kMeanings[i];
        } else if (c == 'u') {
            append_utf8(value, hex4());
        } else {
            fail("an unknown escape in a string; for a backslash write two, or use '…'");
        }
    }

    unsigned hex4() {
        static constexpr std::string_view kDigits = "0123456789abcdef";
        unsigned code = 0;
        for (int i = 0; i < 4; ++i, ++at_) {
            const char lower =
                static_cast<char>(peek() >= 'A' && peek() <= 'F' ? peek() + ('a' - 'A') : peek());
            const size_t digit = kDigits.find(lower);
            if (digit == kDigits.npos) fail("\\u needs four hexadecimal digits");
            code = code * 16 + static_cast<unsigned>(digit);
        }
        return code;
    }
};

}  // namespace

std::vector<TomlEntry> read_toml(std::string_view text, const std::string& name) {
    return Parser(text, name).parse();
}

std::string toml_string(std::string_view text) {
    static constexpr std::string_view kHex = "0123456789abcdef";
    std::string quoted = "\"";
    for (const char c : text) {
        const auto byte = static_cast<unsigned char>(c);
        if (c == '"' || c == '\\') {
            quoted += '\\';
            quoted += c;
        } else if (byte < 0x20 || byte == 0x7f) {
            quoted += "\\u00";
            quoted += kHex[byte >> 4];
            quoted += kHex[byte & 15];
        } else {
            quoted += c;
        }
    }
    return quoted + '"';
}

}  // namespace gs
