// SPDX-License-Identifier: GPL-2.0-only
/*
 * Sync points for user space: real system calls on a schedule.
 *
 * In /sys/kernel/debug/mm_sync/:
 *
 *	points		the names of the points, and what they mean
 *	schedule	what is written to it arms a run, see parse_line();
 *			closing it ends the run, whatever its actors do
 *	join		a thread writes the number of an actor, as which it joins
 *			the run: the write returns when it is its turn.  It writes
 *			"done N" after the Nth thing it has to do, which is where it
 *			can be held in user space, and closes the file to leave,
 *			which it has to do before it ends
 *	state		how far the run is, and why it was given up
 *	trace		what has happened, an event a line
 *
 * The run starts when all its actors have joined.
 *
 * Nobody is left behind when a test dies: if an actor is killed, all others go
 * on (see run_is_stuck()), and so they do if the process that armed the run
 * closes the file, or ends, also if it has children that still have it open.
 */
#include <linux/cleanup.h>
#include <linux/debugfs.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/init.h>
#include <linux/kref.h>
#include <linux/magic.h>
#include <linux/mm_sync_point.h>
#include <linux/mutex.h>
#include <linux/pagemap.h>
#include <linux/sched.h>
#include <linux/seq_file.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <linux/swap.h>
#include <linux/uaccess.h>

#define MAX_TEXT	SZ_16K
#define MAX_STEPS	128
/* Actors may be held within RCU: less than it takes for a stall to be reported */
#define MAX_STALL_MS	(10 * MSEC_PER_SEC)

/* A run, and what it needs: whoever joined may be around for longer than it */
struct armed {
	struct kref kref;
	struct mm_sync_run run;
	struct mm_sync_step steps[MAX_STEPS];
	struct file *file;
};

/* An open "join" */
struct joined {
	struct mutex lock;		/* for the other two */
	struct armed *armed;
	struct task_struct *task;	/* is only compared with current */
};

static struct {
	struct mutex lock;	/* for all of this */
	bool open;		/* "schedule", for writing */
	fl_owner_t owner;	/* who armed the run */
	struct armed *armed;
	unsigned int bad_line;	/* of what was written last */
} front = {
	.lock = __MUTEX_INITIALIZER(front.lock),
};

static void free_armed(struct kref *kref)
{
	struct armed *armed = container_of(kref, struct armed, kref);

	if (armed->file)
		fput(armed->file);
	kfree(armed);
}

static void put_armed(struct armed *armed)
{
	if (armed)
		kref_put(&armed->kref, free_armed);
}

DEFINE_FREE(put_armed, struct armed *, put_armed(_T))

static struct armed *get_armed(void)
{
	guard(mutex)(&front.lock);
	if (front.armed)
		kref_get(&front.armed->kref);
	return front.armed;
}

/* ---- the schedule ------------------------------------------------------- */

static int next_number(char **line, unsigned int max, unsigned int *number)
{
	char *word = strsep(line, " ");

	return !word || kstrtouint(word, 10, number) || *number > max ? -EINVAL : 0;
}

/* A point, maybe with a '?': or until the actor ends, if it never gets there */
static int next_point(char **line, struct mm_sync_step *step)
{
	char *word = strsep(line, " ");
	size_t len = word ? strlen(word) : 0;

	if (len && word[len - 1] == '?') {
		step->or_end = true;
		word[len - 1] = '\0';
	}
	for (step->until = 0; len && step->until <= MM_SYNC_WAIT; step->until++)
		if (!strcmp(word, mm_sync_point_name(step->until)))
			return 0;
	return -EINVAL;
}

/* Not those in debugfs: a run that holds its own file open would never end */
static bool is_usable(const struct file *file)
{
	const struct inode *inode = file_inode(file);

	return S_ISREG(inode->i_mode) && inode->i_sb->s_magic != DEBUGFS_MAGIC;
}

/*
 * One of
 *
 *	actors <how many>
 *	folio <file descriptor> <index>		the folio under test
 *	stall <ms>				give up when nothing happens for so long
 *	queued <actor>				waits for folio locks in their queues
 *	mortal <actor>				the same, and it may be killed
 *	step <actor> <point>			a step of the schedule, see next_point()
 */
static int parse_line(struct armed *armed, char *line)
{
	struct mm_sync_run *run = &armed->run;
	char *word = strsep(&line, " ");
	unsigned int number = 0;
	int err = -EINVAL;

	if (!strcmp(word, "actors") && !run->nr_actors) {
		err = next_number(&line, MM_SYNC_MAX_ACTORS, &run->nr_actors);
	} else if (!strcmp(word, "folio") && !armed->file) {
		err = next_number(&line, INT_MAX, &number);
		if (!err)
			armed->file = fget(number);
		if (!err && !(armed->file && is_usable(armed->file)))
			err = -EBADF;
		if (!err)
			err = next_number(&line, UINT_MAX, &number);
		run->index = number;
	} else if (!strcmp(word, "stall") && !run->stall_ms) {
		err = next_number(&line, MAX_STALL_MS, &run->stall_ms);
	} else if (!strcmp(word, "queued") || !strcmp(word, "mortal")) {
		err = next_number(&line, MM_SYNC_MAX_ACTORS - 1, &number);
		run->queued |= BIT(number);
		if (*word == 'm')
			run->mortal |= BIT(number);
	} else if (!strcmp(word, "step") && run->nr_steps < MAX_STEPS) {
		struct mm_sync_step *step = armed->steps + run->nr_steps++;

		err = next_number(&line, MM_SYNC_MAX_ACTORS - 1, &number) ?:
		      next_point(&line, step);
		step->actor = number;
	}
	return err ?: line ? -EINVAL : 0;
}

/* Return: 0, or the error, with the line that it is in */
static int parse(struct armed *armed, char *text, unsigned int *bad_line)
{
	char *line;

	for (*bad_line = 1; (line = strsep(&text, "\n")); ++*bad_line) {
		int err = *line ? parse_line(armed, line) : 0;

		if (err)
			return err;
	}
	if (!armed->file || !armed->run.nr_actors)
		return -EINVAL;
	*bad_line = 0;
	return 0;
}

static int arm(struct armed *armed)
{
	struct mm_sync_run *run = &armed->run;
	struct folio *folio;

	/* What is in a batch can't be isolated */
	lru_add_drain_all();

	run->mapping = armed->file->f_mapping;
	folio = filemap_get_folio(run->mapping, run->index);
	if (!IS_ERR(folio)) {
		run->folio = folio;
		folio_put(folio);
	}
	run->steps = armed->steps;
	run->once = true;
	run->starts_itself = true;
	return mm_sync_begin(run);
}

static ssize_t schedule_write(struct file *file, const char __user *buf, size_t len,
			      loff_t *pos)
{
	struct armed *armed __free(put_armed) = NULL;
	char *text __free(kfree) = NULL;
	int err;

	if (len > MAX_TEXT)
		return -E2BIG;
	text = memdup_user_nul(buf, len);
	if (IS_ERR(text))
		return PTR_ERR(text);
	if (strlen(text) != len)
		return -EINVAL;
	armed = kzalloc_obj(*armed);
	if (!armed)
		return -ENOMEM;
	kref_init(&armed->kref);

	guard(mutex)(&front.lock);
	if (front.armed)
		return -EBUSY;
	err = parse(armed, text, &front.bad_line) ?: arm(armed);
	if (err)
		return err;
	front.owner = current->files;
	front.armed = no_free_ptr(armed);
	return len;
}

static int schedule_open(struct inode *inode, struct file *file)
{
	if (!(file->f_mode & FMODE_WRITE))
		return 0;
	guard(mutex)(&front.lock);
	if (front.open)
		return -EBUSY;
	front.open = true;
	return stream_open(inode, file);
}

static void disarm(void)
{
	struct armed *armed = front.armed;

	lockdep_assert_held(&front.lock);
	if (!armed)
		return;
	mm_sync_abandon(&armed->run);
	front.armed = NULL;
	put_armed(armed);
}

static int schedule_flush(struct file *file, fl_owner_t id)
{
	guard(mutex)(&front.lock);
	if ((file->f_mode & FMODE_WRITE) && id == front.owner)
		disarm();
	return 0;
}

static int schedule_release(struct inode *inode, struct file *file)
{
	if (!(file->f_mode & FMODE_WRITE))
		return 0;
	guard(mutex)(&front.lock);
	disarm();
	front.open = false;
	return 0;
}

static const struct file_operations schedule_fops = {
	.owner		= THIS_MODULE,
	.open		= schedule_open,
	.write		= schedule_write,
	.flush		= schedule_flush,
	.release	= schedule_release,
};

/* ---- actors ------------------------------------------------------------- */

static int join_open(struct inode *inode, struct file *file)
{
	struct joined *joined = kzalloc_obj(*joined);

	if (!joined)
		return -ENOMEM;
	mutex_init(&joined->lock);
	file->private_data = joined;
	return stream_open(inode, file);
}

static int join(struct joined *joined, unsigned int actor)
{
	struct armed *armed __free(put_armed) = get_armed();
	int err;

	if (!armed)
		return -ENOENT;
	err = mm_sync_join(&armed->run, actor);
	if (err == -ECANCELED)
		mm_sync_leave(&armed->run);
	if (err)
		return err;
	WRITE_ONCE(joined->task, current);
	joined->armed = no_free_ptr(armed);
	return 0;
}

static ssize_t join_write(struct file *file, const char __user *buf, size_t len, loff_t *pos)
{
	struct joined *joined = file->private_data;
	unsigned int number;
	char text[16] = "";
	char *line = text;
	int err;

	if (len >= sizeof(text))
		return -EINVAL;
	if (copy_from_user(text, buf, len))
		return -EFAULT;
	if (strlen(text) != len)
		return -EINVAL;
	/* Another thread may be held in here */
	if (!mutex_trylock(&joined->lock))
		return -EBUSY;
	if (str_has_prefix(text, "done ")) {
		line += strlen("done ");
		err = next_number(&line, MM_SYNC_USER_8 - MM_SYNC_USER_1 + 1, &number);
		if (!err && (line || !number || !joined->armed || joined->task != current))
			err = -EINVAL;
		if (!err)
			__mm_sync_point(MM_SYNC_USER_1 + number - 1, NULL);
	} else {
		err = next_number(&line, MM_SYNC_MAX_ACTORS - 1, &number);
		if (!err && line)
			err = -EINVAL;
		if (!err)
			err = joined->armed ? -EBUSY : join(joined, number);
	}
	mutex_unlock(&joined->lock);
	return err ?: len;
}

static int join_flush(struct file *file, fl_owner_t id)
{
	struct joined *joined = file->private_data;

	if (READ_ONCE(joined->task) != current)
		return 0;
	guard(mutex)(&joined->lock);
	mm_sync_leave(&joined->armed->run);
	put_armed(joined->armed);
	joined->armed = NULL;
	WRITE_ONCE(joined->task, NULL);
	return 0;
}

static int join_release(struct inode *inode, struct file *file)
{
	struct joined *joined = file->private_data;

	/* Set if the actor was another thread: it is none to mm_sync_leave() for */
	put_armed(joined->armed);
	kfree(joined);
	return 0;
}

static const struct file_operations join_fops = {
	.owner		= THIS_MODULE,
	.open		= join_open,
	.write		= join_write,
	.flush		= join_flush,
	.release	= join_release,
};

/* ---- to be read --------------------------------------------------------- */

static int points_show(struct seq_file *seq, void *data)
{
	for (int i = 0; i <= MM_SYNC_WAIT; i++)
		seq_printf(seq, "%s %s\n", mm_sync_point_name(i), mm_sync_point_meaning(i));
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(points);

/* A copy of the run as it is now, if there is one */
static struct mm_sync_run *peek(void)
{
	struct armed *armed __free(put_armed) = get_armed();
	struct mm_sync_run *run;

	if (!armed)
		return NULL;
	run = kmalloc_obj(*run);
	if (!run)
		return ERR_PTR(-ENOMEM);
	mm_sync_peek(&armed->run, run);
	return run;
}

static void show_actor(struct seq_file *seq, const struct mm_sync_run *run, int index)
{
	const struct mm_sync_actor *actor = run->actors + index;

	seq_printf(seq, "actor %d ", index);
	if (!actor->task)
		seq_puts(seq, "has not joined\n");
	else if (actor->done)
		seq_puts(seq, "is done\n");
	else if (actor->held && actor->wait.lock)
		seq_printf(seq, "waits for %s\n", mm_sync_lock_name(actor->wait.type));
	else
		seq_puts(seq, actor->held ? "is held\n" : "runs\n");
}

static int state_show(struct seq_file *seq, void *data)
{
	struct mm_sync_run *run __free(kfree) = peek();
	unsigned int bad_line = READ_ONCE(front.bad_line);

	if (IS_ERR(run))
		return PTR_ERR(run);
	if (bad_line)
		seq_printf(seq, "malformed: line %u\n", bad_line);
	if (!run) {
		seq_puts(seq, "no run\n");
		return 0;
	}
	seq_puts(seq, run->left == run->nr_actors ? "over\n" :
		      run->open ? "given up\n" : run->started ? "running\n" : "armed\n");
	seq_printf(seq, "step %u of %u\n", run->err ? run->err_step : run->step, run->nr_steps);
	if (run->err == -EDEADLK)
		seq_printf(seq, "error %d actor %u lock %s\n", run->err, run->err_actor,
			   mm_sync_lock_name(run->err_lock));
	else if (run->err)
		seq_printf(seq, "error %d actor %u\n", run->err, run->err_actor);
	for (int i = 0; i < run->nr_actors; i++)
		show_actor(seq, run, i);
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(state);

/* <actor> <kind> <point or lock, of more than one word maybe>: <state> [step <which>] */
static int trace_show(struct seq_file *seq, void *data)
{
	static const char * const kinds[] = {
		[MM_SYNC_KIND_PASS] = "pass",
		[MM_SYNC_KIND_STOP] = "stop",
		[MM_SYNC_KIND_WAIT] = "wait",
		[MM_SYNC_KIND_END] = "end",
	};
	struct mm_sync_run *run __free(kfree) = peek();

	if (IS_ERR_OR_NULL(run))
		return PTR_ERR(run);
	for (int i = 0; i < run->nr_events; i++) {
		const struct mm_sync_event *event = run->events + i;
		const struct mm_sync_state *state = &event->state;

		seq_printf(seq, "%d %s %s: refs=%d mapcount=%d lru=%d locked=%d cached=%d order=%d index=%lu dirty=%d writeback=%d size=%lu listed=%d",
			   event->actor, kinds[event->kind],
			   event->kind == MM_SYNC_KIND_WAIT ? mm_sync_lock_name(event->lock) :
							      mm_sync_point_name(event->point),
			   state->refs, state->mapcount, state->lru, state->locked,
			   state->cached, state->order, state->index, state->dirty,
			   state->writeback, state->size, state->listed);
		if (event->ends_step)
			seq_printf(seq, " step %d", event->step);
		seq_putc(seq, '\n');
	}
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(trace);

static int __init mm_sync_debugfs_init(void)
{
	struct dentry *dir = debugfs_create_dir("mm_sync", NULL);

	debugfs_create_file("points", 0400, dir, NULL, &points_fops);
	debugfs_create_file("state", 0400, dir, NULL, &state_fops);
	debugfs_create_file("trace", 0400, dir, NULL, &trace_fops);
	/* They are never removed; the usual ones would not know of .flush */
	debugfs_create_file_unsafe("schedule", 0600, dir, NULL, &schedule_fops);
	debugfs_create_file_unsafe("join", 0600, dir, NULL, &join_fops);
	return 0;
}
late_initcall(mm_sync_debugfs_init);
