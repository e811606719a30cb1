// The same from C++17: the types overload, the names do not get in the way of the standard library.
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "check.h"

namespace {

struct Closer {
    using pointer = SOCKET;
    void operator()(SOCKET s) const { closesocket(s); }
};

class Client {
public:
    explicit Client(const echo &peer, const char *name) : socket_(dial(&peer, name, 0)) {}
    ~Client() {
        if (socket_ != INVALID_SOCKET) closesocket(socket_);
    }
    Client(const Client &) = delete;
    Client &operator=(const Client &) = delete;
    bool is_open() const { return socket_ != INVALID_SOCKET; }
    std::string ask(const std::string &text) const {
        if (send(socket_, text.data(), static_cast<int>(text.size()), 0) != static_cast<int>(text.size())) return "";
        std::string answer(text.size(), '\0');
        answer.resize(static_cast<size_t>(receive_all(socket_, &answer[0], static_cast<int>(answer.size()))));
        return answer;
    }
    SOCKET_SECURITY_QUERY_INFO query() const {
        SOCKET_SECURITY_QUERY_INFO info{};
        ULONG length = sizeof info;
        WORKS("C++", WSAQuerySocketSecurity(socket_, nullptr, 0, &info, &length, nullptr, nullptr));
        return info;
    }

private:
    SOCKET socket_;
};

std::u16string wide(const std::string &text) { return {text.begin(), text.end()}; }

void names() {
    WCHAR made[64];
    DWORD length = RTL_NUMBER_OF(made);
    const std::u16string service = wide("postgres"), host = wide("localhost");
    CHECK("C++ DsMakeSpn", DsMakeSpnW(reinterpret_cast<LPCWSTR>(service.c_str()), reinterpret_cast<LPCWSTR>(host.c_str()),
                               nullptr, 0, nullptr, &length, made) == ERROR_SUCCESS);
    CHECK("C++ DsMakeSpn", length == 19 && made[8] == '/');
}

} // namespace

int main() {
    check_start();
    echo *peer = echo_start(SOCK_STREAM);
    names();
    Client client(*peer, "postgres/localhost");
    CHECK("C++", client.is_open());
    CHECK("C++", client.ask("hello") == "hello");
    CHECK("C++", client.query().Flags & SOCKET_INFO_CONNECTION_ENCRYPTED);
    CHECK("C++ 5.3", !Client(*peer, "http/localhost").is_open());
    auto ask = std::bind(&Client::ask, &client, std::placeholders::_1);
    CHECK("C++ std::bind", ask("bound") == "bound");
    std::vector<std::thread> threads;
    for (int i = 0; i < 4; i++)
        threads.emplace_back([peer, i] {
            Client own(*peer, "postgres/localhost");
            const std::string text(1000, static_cast<char>('a' + i));
            if (own.ask(text) != text) std::abort();
        });
    for (auto &thread : threads) thread.join();
    return check_end();
}
