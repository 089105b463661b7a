#include "core/pickle.h"

#include <bit>
#include <set>

#include "core/pickle_stack.h"
#include "core/pickle_text.h"
#include "core/printable.h"

// Opcodes and their meaning: CPython's Lib/pickletools.py. The machine only ever appends to the arena, so
// every step costs memory in proportion to the bytes it consumed, whatever the pickle says.
namespace gs::pickle {
namespace {

class Machine : private Stack {
  public:
    Machine(std::span<const std::byte> bytes, const std::function<bool(std::string_view)>& allowed,
            const std::string& what, ErrorKind kind, const Limits& limits)
        : Stack(bytes, what, kind, limits), allowed_(allowed) {}

    Parsed run() {
        while (true) {
            start_step();
            const uint8_t op = u8();
            if (op == '.') break;
            if (!number(op) && !text_or_bytes(op) && !container(op) && !object(op) && !stack_or_memo(op))
                unknown(op);
        }
        out_.value = pop();
        out_.consumed = position();
        return std::move(out_);
    }

  private:
    [[noreturn]] void refuse(const std::string& named) const {
        throw Error(kind(), what() + ": refused: the pickle names " + printable(named) +
                                ", which no data needs; nothing was executed");
    }
    [[noreturn]] void unknown(uint8_t op) const {
        if (op >= 0x82 && op <= 0x84) refuse("a registered extension (opcode EXT)");
        if (op == 0x97 || op == 0x98) fail("out-of-band buffers are not supported");
        fail("unknown opcode " + std::to_string(op));
    }

    // ---- None, booleans, numbers ----
    bool number(uint8_t op) {
        switch (op) {
            case 'N':
                push(None{});
                return true;
            case 0x88:
                push(true);
                return true;
            case 0x89:
                push(false);
                return true;
            case 'J':
                push(int64_t{little<int32_t>()});
                return true;
            case 'K':
                push(int64_t{u8()});
                return true;
            case 'M':
                push(int64_t{little<uint16_t>()});
                return true;
            case 'I':
                int_line();
                return true;
            case 'L':
                long_line();
                return true;
            case 0x8A:
                long_bytes(u8());
                return true;
            case 0x8B: {
                const auto length = little<int32_t>();
                if (length < 0) fail("an integer of negative length");
                long_bytes(static_cast<uint32_t>(length));
                return true;
            }
            case 'F':
                push(decimal<double>(line()));
                return true;
            case 'G':
                push(std::bit_cast<double>(__builtin_bswap64(little<uint64_t>())));
                return true;
            default:
                return false;
        }
    }
    void int_line() {
        const std::string_view digits = line();
        if (digits == "00" || digits == "01")
            push(digits == "01");
        else
            push(decimal<int64_t>(digits));
    }
    void long_line() {
        std::string_view digits = line();
        if (digits.ends_with('L')) digits.remove_suffix(1);
        if (const auto value = long_decimal(digits))
            push(*value);
        else
            push(BigInt{});
    }
    void long_bytes(uint64_t length) {
        const auto bytes = take(length);
        if (length > 8)
            push(BigInt{bytes});
        else
            push(sign_extended(bytes));
    }

    // ---- strings ----
    bool text_or_bytes(uint8_t op) {
        switch (op) {
            case 0x8C:
                push_text(take_text(u8()));
                return true;
            case 'X':
                push_text(take_text(little<uint32_t>()));
                return true;
            case 0x8D:
                push_text(take_text(little<uint64_t>()));
                return true;
            case 'V':
                push_decoded_text(line());
                return true;
            case 'U':
            case 'C':
                push(Bytes{take(u8())});
                return true;
            case 'T': {
                const auto length = little<int32_t>();
                if (length < 0) fail("a string of negative length");
                push(Bytes{take(static_cast<uint32_t>(length))});
                return true;
            }
            case 'B':
                push(Bytes{take(little<uint32_t>())});
                return true;
            case 0x8E:
            case 0x96:
                push(Bytes{take(little<uint64_t>())});
                return true;
            case 'S':
                push_quoted(line());
                return true;
            default:
                return false;
        }
    }
    void push_text(std::string_view text) {
        if (!is_utf8(text)) fail("a string is not UTF-8");
        push(text);
    }
    void push_decoded_text(std::string_view escaped) {
        std::optional<std::string> text = decode_raw_unicode_escape(escaped);
        if (!text) fail("a string with a bad \\u escape");
        push(std::string_view(out_.texts.emplace_back(std::move(*text))));
    }
    void push_quoted(std::string_view quoted) {
        std::optional<std::string> bytes = decode_python_literal(quoted);
        if (!bytes) fail("a malformed string literal");
        push(Bytes{std::as_bytes(std::span<const char>(out_.texts.emplace_back(std::move(*bytes))))});
    }

    // ---- containers ----
    bool container(uint8_t op) {
        switch (op) {
            case ']':
            case ')':
            case 0x8F:
                push(List{});
                return true;  // list, tuple, set
            case 'l':
            case 't':
            case 0x91:
                push(List{pop_to_mark()});
                return true;  // list, tuple, frozenset
            case 0x85:
                push(List{pop_count(1)});
                return true;
            case 0x86:
                push(List{pop_count(2)});
                return true;
            case 0x87:
                push(List{pop_count(3)});
                return true;
            case '}':
                push(Dict{});
                return true;
            case 'd': {
                const auto items = pop_to_mark();
                push(Dict{});
                set_items(items);
                return true;
            }
            case 'a':
                append(pop_count(1));
                return true;
            case 'e':
            case 0x90:
                append(pop_to_mark());
                return true;
            case 's':
                set_items(pop_count(2));
                return true;
            case 'u':
                set_items(pop_to_mark());
                return true;
            default:
                return false;
        }
    }
    Call* top_call() const {
        auto* call = std::get_if<std::unique_ptr<Call>>(&top()->data);
        return call == nullptr ? nullptr : call->get();
    }
    void append(const std::vector<ValuePtr>& items) {
        Call* call = top_call();
        List* list = call != nullptr ? &call->appended : std::get_if<List>(&top()->data);
        if (list == nullptr) fail("items appended to something that is no list");
        list->items.insert(list->items.end(), items.begin(), items.end());
    }
    void set_items(const std::vector<ValuePtr>& items) {
        Call* call = top_call();
        Dict* dict = call != nullptr ? &call->set : std::get_if<Dict>(&top()->data);
        if (dict == nullptr) fail("items set in something that is no dict");
        if (items.size() % 2 != 0) fail("a dict key without a value");
        for (size_t i = 0; i < items.size(); i += 2) dict->items.emplace_back(items[i], items[i + 1]);
    }

    // ---- globals and what would be called ----
    bool object(uint8_t op) {
        switch (op) {
            case 'c': {
                const std::string_view module = line();
                push_value(global(module, line()));
                return true;
            }
            case 0x93:
                stack_global();
                return true;
            case 'R':
            case 0x81: {  // REDUCE, NEWOBJ
                const Value* arguments = pop();
                call(pop(), arguments, nullptr);
                return true;
            }
            case 0x92: {  // NEWOBJ_EX
                const Value *keywords = pop(), *arguments = pop();
                if (keywords->as<Dict>() == nullptr) fail("keyword arguments that are no dict");
                call(pop(), arguments, keywords);
                return true;
            }
            case 'i': {  // INST
                const std::string_view module = line();
                const Value* callee = global(module, line());
                call(callee, make(List{pop_to_mark()}), nullptr);
                return true;
            }
            case 'o': {  // OBJ
                std::vector<ValuePtr> items = pop_to_mark();
                if (items.empty()) fail("an object without a class");
                const Value* callee = items.front();
                items.erase(items.begin());
                call(callee, make(List{std::move(items)}), nullptr);
                return true;
            }
            case 'b':
                build();
                return true;
            case 'P': {
                const std::string_view id = line();
                push(PersistentId{make(std::string_view(out_.texts.emplace_back(printable(id))))});
                return true;
            }
            case 'Q':
                push(PersistentId{pop()});
                return true;
            default:
                return false;
        }
    }
    Value* global(std::string_view module, std::string_view attribute) {
        std::string name = std::string(module) + "." + std::string(attribute);
        auto known = names_.find(name);
        if (known == names_.end()) {
            if (!allowed_(name)) refuse(name);
            known = names_.insert(out_.texts.emplace_back(std::move(name))).first;
        }
        return make(Global{*known});
    }
    void stack_global() {
        const auto attribute = text(*pop()), module = text(*pop());
        if (!attribute || !module) fail("a global whose name is no string");
        push_value(global(*module, *attribute));
    }
    void call(const Value* callee, const Value* arguments, const Value* keywords) {
        const Global* name = callee->as<Global>();
        if (name == nullptr) fail("a call of something that is no global");
        if (arguments->as<List>() == nullptr) fail("arguments that are no tuple");
        auto made = std::make_unique<Call>();
        made->callee = name->name;
        made->arguments = arguments;
        made->keywords = keywords;
        push(std::move(made));
    }
    void build() {
        const Value* state = pop();
        Call* object = top_call();
        if (object == nullptr) fail("a state for something that is no object");
        if (object->state != nullptr) fail("a second state for the same object");
        object->state = state;
    }

    // ---- stack, memo, framing ----
    bool stack_or_memo(uint8_t op) {
        switch (op) {
            case '(':
                push_mark();
                return true;
            case '0':
                discard();
                return true;
            case '1':
                pop_to_mark();
                return true;
            case '2':
                push_value(top());
                return true;
            case 'p':
                put(decimal<uint64_t>(line()));
                return true;
            case 'q':
                put(u8());
                return true;
            case 'r':
                put(little<uint32_t>());
                return true;
            case 0x94:
                memoize();
                return true;
            case 'g':
                get(decimal<uint64_t>(line()));
                return true;
            case 'h':
                get(u8());
                return true;
            case 'j':
                get(little<uint32_t>());
                return true;
            case 0x80: {
                const unsigned protocol = u8();
                if (protocol > 5)
                    fail("pickle protocol " + std::to_string(protocol) + " is unknown (0 to 5 are known)");
                return true;
            }
            case 0x95: {
                if (little<uint64_t>() > remaining()) fail("truncated");
                return true;
            }
            default:
                return false;
        }
    }
    const std::function<bool(std::string_view)>& allowed_;
    std::set<std::string_view> names_;  // of globals, in out_.texts
};

}  // namespace

Parsed parse(std::span<const std::byte> bytes, const std::function<bool(std::string_view)>& allowed,
             const std::string& what, ErrorKind kind, const Limits& limits) {
    Parsed parsed = Machine(bytes, allowed, what, kind, limits).run();
    if (const auto problem = nesting_problem(parsed, limits.max_depth))
        throw Error(kind, what + ": bad pickle: " + *problem);
    return parsed;
}

std::optional<std::string_view> text(const Value& value) {
    if (const auto* text = value.as<std::string_view>()) return *text;
    if (const auto* bytes = value.as<Bytes>()) return as_text(bytes->bytes);
    return std::nullopt;
}

ValuePtr find(const Value& dict, std::string_view key) {
    const Dict* items = dict.as<Dict>();
    if (items == nullptr) return nullptr;
    for (size_t i = items->items.size(); i-- > 0;)
        if (text(*items->items[i].first) == key) return items->items[i].second;
    return nullptr;
}

}  // namespace gs::pickle
