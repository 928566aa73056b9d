/* Calls from other threads: see post.h. */
#include "driver/uv/post.h"

#include "driver/uv/driver.h"

#include <stdlib.h>

struct br_uv_posted {
    struct br_uv_posted *next;
    bruit_uv_post_fn fn;
    void *context;
};

int br_uv_post_init(struct bruit_uv *uv, uv_async_cb on_wake)
{
    struct br_uv_post *post = &uv->post;
    int status = uv_mutex_init(&post->lock);
    if (status != 0)
        return status;
    post->first = NULL;
    post->last = &post->first;
    post->is_closed = false;
    status = uv_async_init(uv->loop, &post->async, on_wake);
    if (status != 0) {
        uv_mutex_destroy(&post->lock);
        return status;
    }
    post->async.data = uv;
    uv->handle_count++;
    return 0;
}

int bruit_uv_post(struct bruit_uv *uv, bruit_uv_post_fn fn, void *context)
{
    struct br_uv_post *post = &uv->post;
    struct br_uv_posted *posted = malloc(sizeof *posted);
    if (posted == NULL)
        return BRUIT_ENOMEM;
    *posted = (struct br_uv_posted){NULL, fn, context};
    uv_mutex_lock(&post->lock);
    bool taken = !post->is_closed;
    if (taken) {
        *post->last = posted;
        post->last = &posted->next;
        br_uv_post_wake(uv); /* Under the lock: the handle is not being closed meanwhile. */
    }
    uv_mutex_unlock(&post->lock);
    if (!taken)
        free(posted);
    return taken ? 0 : BRUIT_ECLOSED;
}

void br_uv_post_wake(struct bruit_uv *uv)
{
    (void)uv_async_send(&uv->post.async); /* Fails only for a handle that is no async handle. */
}

static struct br_uv_posted *take_first(struct br_uv_post *post)
{
    uv_mutex_lock(&post->lock);
    struct br_uv_posted *posted = post->first;
    if (posted != NULL)
        post->first = posted->next;
    if (post->first == NULL)
        post->last = &post->first;
    uv_mutex_unlock(&post->lock);
    return posted;
}

static struct br_uv_posted *take_all(struct br_uv_post *post)
{
    uv_mutex_lock(&post->lock);
    struct br_uv_posted *posted = post->first;
    post->first = NULL;
    post->last = &post->first;
    uv_mutex_unlock(&post->lock);
    return posted;
}

/* Back to the front: they were posted before everything that came since. */
static void put_back(struct br_uv_post *post, struct br_uv_posted *list)
{
    if (list == NULL)
        return;
    struct br_uv_posted *end = list;
    while (end->next != NULL)
        end = end->next;
    uv_mutex_lock(&post->lock);
    end->next = post->first;
    if (post->first == NULL)
        post->last = &end->next;
    post->first = list;
    uv_mutex_unlock(&post->lock);
}

void br_uv_post_run(struct bruit_uv *uv)
{
    /* All at once, so that functions which post again cannot keep the loop from its sockets. */
    struct br_uv_posted *list = take_all(&uv->post);
    while (list != NULL && !uv->closing) {
        struct br_uv_posted *posted = list;
        list = list->next;
        posted->fn(uv, posted->context);
        free(posted);
    }
    put_back(&uv->post, list);
}

static void on_closed(uv_handle_t *handle)
{
    br_uv_handle_closed(handle->data);
}

void br_uv_post_close(struct bruit_uv *uv)
{
    uv_mutex_lock(&uv->post.lock);
    uv->post.is_closed = true;
    uv_mutex_unlock(&uv->post.lock);
    uv_close((uv_handle_t *)&uv->post.async, on_closed);
}

void br_uv_post_drop(struct bruit_uv *uv)
{
    struct br_uv_posted *posted;
    while ((posted = take_first(&uv->post)) != NULL) {
        posted->fn(NULL, posted->context);
        free(posted);
    }
}

void br_uv_post_fini(struct bruit_uv *uv)
{
    uv_mutex_destroy(&uv->post.lock);
}
