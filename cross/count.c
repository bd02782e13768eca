/* A plugin for qemu's emulation of programs: counts the instructions that a program executes, all of
   its threads together, and writes the number to the file that it is given as `to=PATH`. Loaded by
   cross/count. What is used of qemu's interface is declared here, as not every system has its header. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef uint64_t qemu_plugin_id_t;
struct qemu_plugin_tb;
struct qemu_info_t;
size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb *tb);
void qemu_plugin_register_vcpu_tb_trans_cb(qemu_plugin_id_t id,
    void (*cb)(qemu_plugin_id_t id, struct qemu_plugin_tb *tb));
void qemu_plugin_register_vcpu_tb_exec_cb(struct qemu_plugin_tb *tb,
    void (*cb)(unsigned int vcpu, void *data), int flags, void *data);
void qemu_plugin_register_atexit_cb(qemu_plugin_id_t id,
    void (*cb)(qemu_plugin_id_t id, void *data), void *data);

int qemu_plugin_version = 1;

/* Every thread is a processor to qemu, and has a counter of its own: none is added to twice at once. */
enum { PROCESSORS = 256 };
static uint64_t counts[PROCESSORS][8];
static char path[4096];

static void executed(unsigned int vcpu, void *data)
{
    counts[vcpu % PROCESSORS][0] += (uintptr_t)data;
}

static void translated(qemu_plugin_id_t id, struct qemu_plugin_tb *tb)
{
    (void)id;
    qemu_plugin_register_vcpu_tb_exec_cb(tb, executed, 0, (void *)(uintptr_t)qemu_plugin_tb_n_insns(tb));
}

static void ended(qemu_plugin_id_t id, void *data)
{
    uint64_t all = 0;
    FILE *file = fopen(path, "w");
    (void)id, (void)data;
    for (int at = 0; at < PROCESSORS; at++)
        all += counts[at][0];
    if (file == NULL || fprintf(file, "%llu\n", (unsigned long long)all) < 0 || fclose(file) != 0)
        abort();
}

int qemu_plugin_install(qemu_plugin_id_t id, const struct qemu_info_t *info, int argc, char **argv)
{
    (void)info;
    if (argc != 1 || strncmp(argv[0], "to=", 3) != 0 || strlen(argv[0]) >= sizeof path)
        return 1;
    strcpy(path, argv[0] + 3);
    qemu_plugin_register_vcpu_tb_trans_cb(id, translated);
    qemu_plugin_register_atexit_cb(id, ended, NULL);
    return 0;
}
