/* SPDX-License-Identifier: MIT */
/* What a client of the service's socket sends: a line of JSON, or the head of an HTTP request. Each is refused, or it is one of
 * ours. */
#include "fuzz/fuzz.h"
#include "request.h"

static void check_line(const uint8_t *data, size_t size)
{
        cleanup_error struct oxl_error err = OXL_ERROR_INIT;
        cleanup_free uint8_t *line = fuzz_copy(data, size);
        struct request r = { 0 };
        bool malformed;
        if (fuzz_failed(request_parse((const char *)line, size, &r, &malformed, &err), &err)) {
                FUZZ_REQUIRE(!r.repository);
                return;
        }
        fuzz_accepted++;
        FUZZ_REQUIRE(!malformed && r.what < REQUEST_KINDS && (!r.repository || strlen(r.repository) < size));
        FUZZ_REQUIRE(r.rate == 0 || r.what == REQUEST_LIMIT);
        request_done(&r);
}

static void check_http(const uint8_t *data, size_t size)
{
        cleanup_free uint8_t *bytes = fuzz_copy(data, size);
        const char *text = (const char *)bytes;
        enum request_protocol whole = request_protocol(text, size);
        for (size_t n = 0; n <= size && n < 8; n++) {
                enum request_protocol part = request_protocol(text, n);
                FUZZ_REQUIRE(part == whole || part == REQUEST_UNDECIDED);
        }
        size_t head = request_http_length(text, size);
        FUZZ_REQUIRE(head <= size && (head == 0 || bytes[head - 1] == '\n'));
        FUZZ_REQUIRE(head == 0 || request_http_length(text, head) == head);
        if (whole == REQUEST_HTTP && head > 0)
                FUZZ_REQUIRE(request_http_page(text, head) <= REQUEST_PAGE_HEALTH);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        check_line(data, size);
        check_http(data, size);
        return 0;
}
