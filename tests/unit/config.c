/* SPDX-License-Identifier: MIT */
/* config.json: one form; hand edits, damage and bad values told apart; the verbs under the writer lock. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "repo/repo.h"
#include "support/place.h"

static const struct oxl_repo_id id = { { 7, 7 } };

static enum oxl_config_state state_of(const char *text, size_t n, enum oxl_code *ret_why)
{
        struct oxl_settings s;
        enum oxl_config_state state;
        struct oxl_error why = OXL_ERROR_INIT;
        assert_int_equal(oxl_config_parse(oxl_bytes_of(text, n), &id, &s, &state, &why, NULL), 0);
        if (ret_why)
                *ret_why = why.code;
        if (state == OXL_CONFIG_DAMAGED) {
                assert_int_equal(s.pack_threshold, OXL_PACK_THRESHOLD_DEFAULT);
                assert_null(s.user_name);
                assert_int_not_equal(why.code, 0);
        }
        oxl_settings_done(&s);
        oxl_error_done(&why);
        return state;
}

static void print(struct oxl_buf *text)
{
        char name[] = "A \"d\\a\" \xc3\xa4";
        struct oxl_settings s = {
                .pack_threshold = 4194304, .reflink = true, .has_pack_threshold = true, .user_name = name
        };
        assert_int_equal(oxl_config_print(&s, &id, text, NULL), 0);
}

static void the_form_is_that_of_the_format_document(void **state)
{
        static const char want[] =
                "{\n  \"pack_threshold\": 4194304,\n  \"schema\": \"oxen-lite.config/1\",\n"
                "  \"user.name\": \"A \\\"d\\\\a\\\" \xc3\xa4\",\n  \"seal\": \"blake3:";
        struct oxl_buf text = OXL_BUF_INIT;
        print(&text);
        assert_memory_equal(text.data, want, sizeof want - 1);
        assert_int_equal(text.len, sizeof want - 1 + 64 + 4);
        assert_memory_equal(text.data + text.len - 4, "\"\n}\n", 4);
        assert_int_equal(state_of(oxl_buf_text(&text), text.len, NULL), OXL_CONFIG_SOUND);
        oxl_buf_done(&text);
}

static void defaults_are_not_written(void **state)
{
        static const char want[] = "{\n  \"schema\": \"oxen-lite.config/1\",\n  \"seal\": \"blake3:";
        struct oxl_buf text = OXL_BUF_INIT;
        struct oxl_settings s;
        oxl_settings_default(&s);
        assert_int_equal(oxl_config_print(&s, &id, &text, NULL), 0);
        assert_memory_equal(text.data, want, sizeof want - 1);
        oxl_buf_done(&text);
}

static void every_flipped_bit_and_every_cut_is_found(void **state)
{
        struct oxl_buf text = OXL_BUF_INIT;
        print(&text);
        for (size_t bit = 0; bit < text.len * 8; bit++) {
                text.data[bit / 8] ^= (uint8_t)(1u << bit % 8);
                assert_int_not_equal(state_of(oxl_buf_text(&text), text.len, NULL), OXL_CONFIG_SOUND);
                text.data[bit / 8] ^= (uint8_t)(1u << bit % 8);
        }
        for (size_t n = 0; n < text.len; n++)
                assert_int_not_equal(state_of(oxl_buf_text(&text), n, NULL), OXL_CONFIG_SOUND);
        oxl_buf_done(&text);
}

static void the_config_of_another_repository_is_edited(void **state)
{
        struct oxl_buf text = OXL_BUF_INIT;
        struct oxl_repo_id other = { { 9 } };
        struct oxl_settings s;
        oxl_settings_default(&s);
        assert_int_equal(oxl_config_print(&s, &other, &text, NULL), 0);
        assert_int_equal(state_of(oxl_buf_text(&text), text.len, NULL), OXL_CONFIG_EDITED);
        oxl_buf_done(&text);
}

static void unsound_texts_are_told_apart(void **state)
{
#define S "\"schema\":\"oxen-lite.config/1\""
        static const struct {
                const char *text;
                enum oxl_config_state state;
                int why;
        } cases[] = {
                { "{" S "}", OXL_CONFIG_EDITED, 0 },
                { "{" S ",\"user.name\":\"x\",\"seal\":5}", OXL_CONFIG_EDITED, 0 },
                { "{" S ",\"pack_threshold\":0}", OXL_CONFIG_EDITED, 0 },
                { "{" S ",\"pack_threshold\":67108865}", OXL_CONFIG_DAMAGED, OXL_E_CONFIG_VALUE },
                { "{" S ",\"pack_threshold\":-1}", OXL_CONFIG_DAMAGED, OXL_E_CONFIG_VALUE },
                { "{" S ",\"pack_threshold\":1.5}", OXL_CONFIG_DAMAGED, OXL_E_CONFIG_VALUE },
                { "{" S ",\"pack_threshold\":\"1\"}", OXL_CONFIG_DAMAGED, OXL_E_CONFIG_VALUE },
                { "{" S ",\"reflink\":\"Auto\"}", OXL_CONFIG_DAMAGED, OXL_E_CONFIG_VALUE },
                { "{" S ",\"reflink\":true}", OXL_CONFIG_DAMAGED, OXL_E_CONFIG_VALUE },
                { "{" S ",\"user.name\":\"\"}", OXL_CONFIG_DAMAGED, OXL_E_CONFIG_VALUE },
                { "{" S ",\"user.name\":\"a\\nb\"}", OXL_CONFIG_DAMAGED, OXL_E_CONFIG_VALUE },
                { "{" S ",\"user.name\":\"a\\u0085b\"}", OXL_CONFIG_DAMAGED, OXL_E_CONFIG_VALUE },
                { "{" S ",\"user.email\":\"<a@b>\"}", OXL_CONFIG_DAMAGED, OXL_E_CONFIG_VALUE },
                { "{" S ",\"colour\":\"x\"}", OXL_CONFIG_DAMAGED, OXL_E_CONFIG_KEY },
                { "{" S "," S "}", OXL_CONFIG_DAMAGED, OXL_E_MALFORMED },
                { "{\"schema\":\"oxen-lite.config/2\"}", OXL_CONFIG_DAMAGED, OXL_E_MALFORMED },
                { "{}", OXL_CONFIG_DAMAGED, OXL_E_MALFORMED },
                { "[]", OXL_CONFIG_DAMAGED, OXL_E_MALFORMED },
                { "", OXL_CONFIG_DAMAGED, OXL_E_MALFORMED },
                { "{" S "} x", OXL_CONFIG_DAMAGED, OXL_E_MALFORMED },
        };
        for (size_t i = 0; i < OXL_ARRAY_LEN(cases); i++) {
                enum oxl_code why;
                if (state_of(cases[i].text, strlen(cases[i].text), &why) != cases[i].state || (int)why != cases[i].why)
                        fail_msg("case %zu: %s: why %d", i, cases[i].text, (int)why);
        }
}

static void an_oversized_text_is_damaged(void **state)
{
        size_t n = OXL_SEALED_TEXT_MAX + 1;
        char *text = malloc(n);
        memset(text, ' ', n);
        memcpy(text, "{\"schema\":\"oxen-lite.config/1\"", 30);
        text[n - 1] = '}'; /* only its size is wrong */
        assert_int_equal(state_of(text, n, NULL), OXL_CONFIG_DAMAGED);
        free(text);
}

/* --- the verbs --- */

struct fixture {
        char *place;
        struct oxl_repo *repo;
        int notices;
};

static void notice(void *ctx, const char *path, const char *text)
{
        struct fixture *f = ctx;
        assert_string_equal(path, ".oxen-lite/config.json");
        assert_non_null(text);
        f->notices++;
}

static void reopen(struct fixture *f)
{
        struct oxl_repo_options options = { .notice = notice, .ctx = f };
        oxl_repo_close(f->repo);
        f->repo = NULL;
        assert_int_equal(oxl_repo_open(f->place, &options, &f->repo, NULL), 0);
}

static int setup(void **state)
{
        struct fixture *f = calloc(1, sizeof *f);
        f->place = place_new();
        *state = f;
        if (oxl_repo_init(f->place, OXL_ALGO_BLAKE3, NULL) < 0)
                return -1;
        reopen(f);
        return 0;
}

static int teardown(void **state)
{
        struct fixture *f = *state;
        oxl_repo_close(f->repo);
        place_free(f->place);
        free(f);
        return 0;
}

static void assert_value(struct fixture *f, const char *key, const char *want)
{
        char *value;
        assert_int_equal(oxl_repo_config_get(f->repo, key, &value, NULL), 0);
        if (!want)
                assert_null(value);
        else
                assert_string_equal(value, want);
        free(value);
}

static void a_value_that_was_set_survives_reopening(void **state)
{
        struct fixture *f = *state;
        assert_value(f, "user.name", NULL);
        assert_value(f, "pack_threshold", "4194304");
        assert_int_equal(oxl_repo_config_set(f->repo, "user.name", "Ada", NULL), 0);
        assert_int_equal(oxl_repo_config_set(f->repo, "pack_threshold", "100", NULL), 0);
        assert_int_equal(oxl_repo_config_set(f->repo, "reflink", "never", NULL), 0);
        reopen(f);
        assert_int_equal(oxl_repo_config_state(f->repo), OXL_CONFIG_SOUND);
        assert_value(f, "user.name", "Ada");
        assert_value(f, "pack_threshold", "100");
        assert_value(f, "reflink", "never");
        assert_int_equal(oxl_repo_config_set(f->repo, "user.name", NULL, NULL), 0);
        reopen(f);
        assert_value(f, "user.name", NULL);
        assert_value(f, "pack_threshold", "100");
        assert_int_equal(f->notices, 0);
}

static void set_keeps_what_another_object_has_set(void **state)
{
        struct fixture *f = *state;
        struct oxl_repo *other;
        assert_int_equal(oxl_repo_open(f->place, NULL, &other, NULL), 0);
        assert_int_equal(oxl_repo_config_set(other, "user.email", "a@b", NULL), 0);
        oxl_repo_close(other);
        assert_int_equal(oxl_repo_config_set(f->repo, "user.name", "Ada", NULL), 0);
        assert_value(f, "user.email", "a@b");
}

static void wrong_keys_and_values_change_nothing(void **state)
{
        struct fixture *f = *state;
        char *value, *before = place_read(f->place, ".oxen-lite/config.json", NULL);
        assert_int_equal(oxl_repo_config_get(f->repo, "schema", &value, NULL), -OXL_E_CONFIG_KEY);
        assert_int_equal(oxl_repo_config_set(f->repo, "seal", "x", NULL), -OXL_E_CONFIG_KEY);
        assert_int_equal(oxl_repo_config_set(f->repo, "user.name", "a\nb", NULL), -OXL_E_CONFIG_VALUE);
        assert_int_equal(oxl_repo_config_set(f->repo, "user.name", "\xff", NULL), -OXL_E_CONFIG_VALUE);
        assert_int_equal(oxl_repo_config_set(f->repo, "pack_threshold", "67108865", NULL), -OXL_E_CONFIG_VALUE);
        assert_int_equal(oxl_repo_config_set(f->repo, "pack_threshold", "01", NULL), -OXL_E_CONFIG_VALUE);
        assert_int_equal(oxl_repo_config_set(f->repo, "pack_threshold", "1k", NULL), -OXL_E_CONFIG_VALUE);
        assert_int_equal(oxl_repo_config_set(f->repo, "pack_threshold", "", NULL), -OXL_E_CONFIG_VALUE);
        char *after = place_read(f->place, ".oxen-lite/config.json", NULL);
        assert_string_equal(after, before);
        free(before);
        free(after);
}

static void a_hand_edit_stops_writers_until_it_is_accepted(void **state)
{
        struct fixture *f = *state;
        place_text(f->place, ".oxen-lite/config.json",
                   "{ \"schema\": \"oxen-lite.config/1\", \"user.name\": \"Eve\" }\n");
        reopen(f);
        assert_int_equal(f->notices, 1);
        assert_int_equal(oxl_repo_config_state(f->repo), OXL_CONFIG_EDITED);
        assert_value(f, "user.name", "Eve");
        assert_int_equal(oxl_repo_config_set(f->repo, "user.name", "Ada", NULL), -OXL_E_CONFIG_EDITED);
        assert_int_equal(oxl_repo_begin_write(f->repo, NULL), -OXL_E_CONFIG_EDITED);
        assert_int_equal(oxl_repo_config_accept(f->repo, NULL), 0);
        assert_int_equal(oxl_repo_config_state(f->repo), OXL_CONFIG_SOUND);
        reopen(f);
        assert_int_equal(f->notices, 1);
        assert_value(f, "user.name", "Eve");
        assert_int_equal(oxl_repo_config_set(f->repo, "user.name", "Ada", NULL), 0);
}

static void an_edit_after_opening_is_seen_by_writers(void **state)
{
        struct fixture *f = *state;
        place_text(f->place, ".oxen-lite/config.json", "{ \"schema\": \"oxen-lite.config/1\" }\n");
        assert_int_equal(oxl_repo_begin_write(f->repo, NULL), -OXL_E_CONFIG_EDITED);
        assert_false(f->repo->writing);
}

static void damage_gives_defaults_and_only_replace_helps(void **state)
{
        struct fixture *f = *state;
        place_text(f->place, ".oxen-lite/config.json", "{ what");
        reopen(f);
        assert_int_equal(f->notices, 1);
        assert_int_equal(oxl_repo_config_state(f->repo), OXL_CONFIG_DAMAGED);
        assert_value(f, "pack_threshold", "4194304");
        assert_int_equal(oxl_repo_begin_write(f->repo, NULL), -OXL_E_CONFIG_EDITED);
        assert_int_equal(oxl_repo_config_accept(f->repo, NULL), -OXL_E_MALFORMED);
        assert_int_equal(oxl_repo_config_replace(f->repo, "{}", 2, NULL), -OXL_E_MALFORMED);
        char *text;
        assert_int_equal(oxl_repo_config_text(f->repo, &text, NULL), 0);
        assert_int_equal(oxl_repo_config_replace(f->repo, text, strlen(text), NULL), 0);
        free(text);
        reopen(f);
        assert_int_equal(f->notices, 1);
        assert_int_equal(oxl_repo_config_state(f->repo), OXL_CONFIG_SOUND);
}

static void a_fifo_or_no_file_is_damage_and_no_hang(void **state)
{
        struct fixture *f = *state;
        char *path = place_path(f->place, ".oxen-lite/config.json");
        assert_int_equal(unlink(path), 0);
        reopen(f);
        assert_int_equal(oxl_repo_config_state(f->repo), OXL_CONFIG_DAMAGED);
        assert_int_equal(mkfifo(path, 0666), 0);
        reopen(f);
        assert_int_equal(oxl_repo_config_state(f->repo), OXL_CONFIG_DAMAGED);
        free(path);
}

static int count_key(void *ctx, const char *key, const char *value, bool is_default, const char *about,
                     struct oxl_error *err)
{
        assert_non_null(about);
        assert_int_equal(is_default, strcmp(key, "user.name") != 0);
        assert_true(value != NULL || strcmp(key, "user.email") == 0);
        ++*(int *)ctx;
        return 0;
}

static void list_tells_every_key_and_which_are_defaults(void **state)
{
        struct fixture *f = *state;
        int n = 0;
        assert_int_equal(oxl_repo_config_set(f->repo, "user.name", "Ada", NULL), 0);
        assert_int_equal(oxl_repo_config_list(f->repo, count_key, &n, NULL), 0);
        assert_int_equal(n, 5);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(the_form_is_that_of_the_format_document),
                cmocka_unit_test(defaults_are_not_written),
                cmocka_unit_test(every_flipped_bit_and_every_cut_is_found),
                cmocka_unit_test(the_config_of_another_repository_is_edited),
                cmocka_unit_test(unsound_texts_are_told_apart),
                cmocka_unit_test(an_oversized_text_is_damaged),
                cmocka_unit_test_setup_teardown(a_value_that_was_set_survives_reopening, setup, teardown),
                cmocka_unit_test_setup_teardown(set_keeps_what_another_object_has_set, setup, teardown),
                cmocka_unit_test_setup_teardown(wrong_keys_and_values_change_nothing, setup, teardown),
                cmocka_unit_test_setup_teardown(a_hand_edit_stops_writers_until_it_is_accepted, setup, teardown),
                cmocka_unit_test_setup_teardown(an_edit_after_opening_is_seen_by_writers, setup, teardown),
                cmocka_unit_test_setup_teardown(damage_gives_defaults_and_only_replace_helps, setup, teardown),
                cmocka_unit_test_setup_teardown(a_fifo_or_no_file_is_damage_and_no_hang, setup, teardown),
                cmocka_unit_test_setup_teardown(list_tells_every_key_and_which_are_defaults, setup, teardown),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
