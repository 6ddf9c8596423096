/* SPDX-License-Identifier: MIT */
/* config.json: missing, edited by hand (only the seal is wrong), or damaged (it does not parse). */
#include "check/pass.h"

struct config_look {
        enum oxl_config_state state;
};

static int look_config(struct oxl_check *c, void *ctx, struct oxl_error *err)
{
        struct config_look *l = ctx;
        cleanup_buf struct oxl_buf text = OXL_BUF_INIT;
        cleanup_error struct oxl_error why = OXL_ERROR_INIT;
        l->state = OXL_CONFIG_DAMAGED;
        int r = oxl_repo_read_file(c->root_fd, "config.json", &text, err);
        if (r != 0)
                return r;
        struct oxl_settings settings;
        oxl_settings_default(&settings);
        r = oxl_config_parse(oxl_buf_bytes(&text), &c->format.id, &settings, &l->state, &why, err);
        c->keep_days = settings.keep_days;
        oxl_settings_done(&settings);
        if (r < 0 || l->state == OXL_CONFIG_SOUND)
                return r;
        if (why.code && !oxl_check_is_unreadable(&why))
                return oxl_error_copy(err, &why);
        char text_of_why[512] = "its seal does not match";
        if (why.code)
                oxl_error_text(&why, text_of_why, sizeof text_of_why);
        return OXL_FAIL_WHY(err, MALFORMED, "config.json", text_of_why);
}

int oxl_check_config(struct oxl_check *c, struct oxl_error *err)
{
        struct config_look ctx = { OXL_CONFIG_SOUND };
        cleanup_look struct oxl_look look = OXL_LOOK_INIT;
        c->keep_days = OXL_KEEP_DAYS_DEFAULT;
        if (!c->have_id)
                return 0;
        int r = oxl_check_look(c, "config.json", NULL, look_config, &ctx, &look, err);
        if (r < 0)
                return r;
        if (look.state == OXL_LOOK_ABSENT)
                return oxl_check_report(
                        c, &(struct oxl_report){ .problem = OXL_P_CONFIG_MISSING, .path = "config.json" }, err);
        if (look.state == OXL_LOOK_UNREADABLE)
                return oxl_check_report_error(c, OXL_P_UNREADABLE, "config.json", "", &look.why, err);
        c->result.files++;
        c->result.bytes += (uint64_t)look.st.st_size;
        r = oxl_check_owner(c, "config.json", &look.st, err);
        if (r < 0 || look.state == OXL_LOOK_GOOD)
                return r;
        enum oxl_problem p = ctx.state == OXL_CONFIG_EDITED ? OXL_P_CONFIG_EDITED : OXL_P_CONFIG_DAMAGED;
        return oxl_check_report_error(c, look.state == OXL_LOOK_TRANSIENT ? OXL_P_TRANSIENT : p, "config.json",
                                      look.verdict, &look.why, err);
}
