//! Every bound and default of henge, each with its reason. Any module may read this one; it imports nothing.

/// Longest key, in bytes: a key travels in every message and stays in memory, so it must stay small.
pub const KEY_BYTES_MAX: usize = 4_096;
/// Largest value, in bytes, until large values are streamed: one value must fit a frame and a batch of the log.
pub const VALUE_BYTES_MAX: usize = 1 << 20;
/// Largest document, in bytes of its packed form: a patch re-writes it whole.
pub const DOCUMENT_BYTES_MAX: usize = 1 << 20;
/// Most leaves of one document: each costs a dot and some bytes of version data.
pub const DOCUMENT_LEAVES_MAX: usize = 65_536;
/// Deepest nesting of a document: far beyond what people write, far below what would hurt a stack.
pub const DOCUMENT_DEPTH_MAX: usize = 64;
/// Longest path of a leaf, in bytes of its encoded form: each leaf holds its whole path while it is in memory.
pub const PATH_BYTES_MAX: usize = 4_096;
/// Most bytes that the paths of one document may take, one after the other, encoded: packed they share their beginnings, in
/// memory they do not. 256 bytes for each of the most leaves.
pub const DOCUMENT_PATH_BYTES_MAX: usize = 16 << 20;
/// Most folds of increments that a coordinator remembers because they may not have come anywhere. Beyond it an increment folds nothing.
pub const FOLDS_MAX: usize = 16_384;
/// Most siblings of one leaf that a client may create: beyond it the client writes blindly in a loop. Repair is never refused.
pub const SIBLINGS_MAX: usize = 64;
/// Largest state of one key that a client's write may lead to, siblings included, in bytes: it must fit a frame, and a record of the log
/// several times over. Repair is refused only where the log could not take it.
pub const KEY_STATE_BYTES_MAX: usize = 8 << 20;
/// Largest causal context that a client may hand in, in bytes: that of the largest document, each leaf of another write, fits.
pub const CONTEXT_BYTES_MAX: usize = 1 << 20;

/// Largest frame, in bytes, header and payload: a value with 64 siblings is refused well before, a page of a scan fits.
pub const FRAME_BYTES_MAX: usize = 16 << 20;
/// Largest frame before the hello has been accepted: a stranger gets no more of our memory.
pub const FRAME_BYTES_BEFORE_HELLO_MAX: usize = 64 << 10;

/// Partitions of a cluster unless `form` says otherwise: Garage's 2^8 too; enough for some dozens of peers.
pub const PARTITIONS_DEFAULT: u16 = 256;
/// Most partitions of a cluster: each costs some hundred bytes per peer when empty.
pub const PARTITIONS_MAX: u16 = 4_096;
/// Virtual nodes of a member of weight 1 (per unit of weight): with the bound below, balance is within a few percent.
pub const VIRTUAL_NODES_PER_WEIGHT: usize = 128;
/// Heaviest member: bounds the ring's size.
pub const WEIGHT_MAX: u16 = 64;
/// Most weight of all members together: bounds the virtual nodes of a ring to a million, whatever a list of members says.
pub const WEIGHTS_TOGETHER_MAX: u32 = 8_192;
/// Longest name of a member, in bytes: it stands in tables that people read.
pub const MEMBER_NAME_BYTES_MAX: usize = 64;
/// Longest address of a member, in bytes: a full domain name, a colon and a port fit.
pub const MEMBER_ADDRESS_BYTES_MAX: usize = 261;
/// Longest name of a zone, in bytes.
pub const ZONE_BYTES_MAX: usize = 64;
/// The number of the only placement rule so far.
pub const PLACEMENT_RULE: u16 = 1;
/// Replicas of a key unless `form` says otherwise.
pub const REPLICAS_DEFAULT: u8 = 3;
/// Most replicas of a key.
pub const REPLICAS_MAX: u8 = 7;
/// Most members of a cluster.
pub const MEMBERS_MAX: usize = 1_024;

/// Actors of one member that have ended and are told of: each is a damaged or lost disk. Of more, the newest are told.
pub const ENDED_ACTORS_MAX: usize = 64;
/// Actors of whom nobody tells that a peer asks all members about at a time: each is a lost disk that all have forgotten. The rest come when these are
/// done with.
pub const STRANGERS_MAX: usize = 64;
/// Bytes of news that ride on one probe, or on its answer: what a datagram would carry.
pub const NEWS_BYTES_MAX: usize = 1_200;
/// Bytes of news in one answer to a comparison of views: some hundred records; the rest follows with the next one.
pub const CATCH_UP_BYTES_MAX: usize = 32 << 10;

/// A request that has not been answered after this long is answered with what is known (milliseconds).
pub const REQUEST_DEADLINE_MS: u64 = 5_000;
/// Longest deadline a client may ask for (milliseconds).
pub const REQUEST_DEADLINE_MS_MAX: u64 = 60_000;
/// Requests under way at one coordinator; one more is `Overloaded`. Some 100 clients with deep pipelines fit.
pub const REQUESTS_IN_FLIGHT_MAX: usize = 16_384;
/// After `Overloaded` a client waits about this long before it tries again (milliseconds).
pub const RETRY_HINT_MS: u32 = 50;
/// A read asks a further replica no sooner than this (milliseconds): below it a timer costs more than it brings.
pub const HEDGE_MS_MIN: u64 = 2;
/// And no later than this (milliseconds): by then messages that were lost are sent again anyway.
pub const HEDGE_MS_MAX: u64 = 250;
/// As long as nothing is known of how fast somebody answers (milliseconds): most networks and disks are quicker.
pub const HEDGE_MS_UNKNOWN: u64 = 25;
/// Further questions of all reads, in per cent: takes the tail away, and cannot double the load of a cluster that is slow as a whole.
pub const HEDGE_PERCENT: u32 = 5;
/// Further questions at once, beyond that share: a peer that stops is found slow within some milliseconds, and these fall into them.
pub const HEDGE_BURST: u32 = 100;
/// Who owes answers for less than this is not slow (milliseconds): a disk that syncs, a turn of the scheduler.
pub const SLOW_MS_MIN: u64 = 30;
/// Who owes answers for longer than this, and gives none, is slow, whatever he used to take (milliseconds).
pub const SLOW_MS_MAX: u64 = 250;
/// Who is slow is tried by one read in so long (milliseconds), to see whether he is quick again.
pub const SLOW_TRY_MS: u64 = 1_000;
/// After a pause longer than this (milliseconds) a process forgets how fast others were: it may have slept, and they too.
pub const PAUSE_MS: u64 = 1_000;
/// After a pause longer than this (milliseconds) nothing is read any more that came meanwhile: all connections are made anew. Clients have given up
/// by then, others hold the peer for dead, and what lies in the sockets may be older than what is remembered of retries.
pub const STALE_MS: u64 = 60_000;
/// Stand-ins that one read may ask: the first live ones on the walk have what is owed; further ones only if more were down then.
pub const READ_STAND_INS_MAX: usize = 8;
/// Versions that an explanation lists at most: more than anybody reads.
pub const WHY_VERSIONS_MAX: usize = 1_000;
/// Requests of one client session that are remembered for retries.
pub const RETRY_NUMBERS_MAX: usize = 1_024;
/// A remembered request is forgotten after this long (milliseconds): well beyond any client's patience.
pub const RETRY_MEMORY_MS: u64 = 5 * 60 * 1_000;
/// Remembered requests of all sessions together: bounds the memory that a flood of sessions can take.
pub const RETRY_MEMORY_MAX: usize = 262_144;
/// Longest time that a client may let a value live (milliseconds): a hundred years, so that no sum overflows.
pub const TTL_MS_MAX: u64 = 100 * 365 * 24 * 3_600 * 1_000;
/// What has expired is kept, hidden, for this long (milliseconds): well over what the clocks of peers may differ.
pub const EXPIRED_KEPT_MS: u64 = 60_000;
/// Keys of which one turn drops what has expired: others get their turn in between.
pub const EXPIRED_PER_TURN: usize = 256;
/// Most keys in one page of a scan.
pub const SCAN_PAGE_KEYS_MAX: usize = 1_000;

/// A wall clock further ahead of ours than this is reported and not followed by the hybrid-logical clock (milliseconds).
pub const CLOCK_AHEAD_MS_MAX: u64 = 60_000;

/// Bytes a link to a peer may hold unsent before its messages are dropped: a stuck peer must not take our memory.
pub const LINK_QUEUE_BYTES_MAX: usize = 64 << 20;
/// Client connections of one peer.
pub const CLIENT_CONNECTIONS_MAX: usize = 4_096;
/// Connections of each further door (HTTP, RESP). Browsers and pools of applications hold many, mostly idle.
pub const GATEWAY_CONNECTIONS_MAX: usize = 2_048;
/// Largest command of a Redis client, in bytes: an MSET of a dozen of the largest values fits, and it is in memory as a whole.
pub const RESP_COMMAND_BYTES_MAX: usize = 16 << 20;
/// Most words of one command: each costs some 100 bytes while the command is under way, whatever it holds.
pub const RESP_WORDS_MAX: usize = 131_072;
/// Longest line of a command that is typed by hand, and of nothing else, in bytes.
pub const RESP_LINE_BYTES_MAX: usize = 64 << 10;
/// Words of a command before `AUTH` has succeeded: what `HELLO` may have, and some more.
pub const RESP_WORDS_BEFORE_AUTH_MAX: usize = 10;
/// Longest word before `AUTH` has succeeded, in bytes: a stranger gets no more of our memory.
pub const RESP_WORD_BYTES_BEFORE_AUTH_MAX: usize = 16 << 10;
/// A Redis client that has to show a token and has not done so after this long is closed (milliseconds): strangers must not fill the door.
/// People who type it have time enough.
pub const RESP_AUTH_DEADLINE_MS: u64 = 60_000;
/// Commands of one Redis connection that may be under way, or wait behind others on the same key: deep pipelines fit. One with several keys counts as
/// so many.
pub const RESP_IN_FLIGHT_MAX: usize = 128;
/// Requests of all Redis connections of a peer that its coordinator has at a time; others wait at the door. Many more at once are no faster, and
/// on a busy machine some would not be done within their deadline, which counts from when the coordinator has them.
pub const RESP_REQUESTS_MAX: usize = 2_048;
/// Bytes of a Redis connection's commands under way, and of their answers, as far as they can be foreseen; at least one command always fits.
pub const RESP_IN_FLIGHT_BYTES_MAX: usize = 16 << 20;
/// Keys of one command (MGET, MSET, DEL …) that are asked for at the same time: enough to keep three disks busy, and the door open for others.
pub const RESP_KEYS_AT_ONCE: usize = 64;
/// Largest answer to a Redis client, in bytes (MGET, KEYS, SMEMBERS): it is in memory as a whole.
pub const RESP_ANSWER_BYTES_MAX: usize = 64 << 20;
/// Cursors of SCAN that one peer remembers; of more, those that rest longest are forgotten. Each may hold a key.
pub const RESP_CURSORS_MAX: usize = 4_096;
/// Keys that DBSIZE counts one by one; beyond it, it estimates: some ten pages of a scan are soon read.
pub const RESP_COUNTED_KEYS_MAX: usize = 10_000;
/// A connection that has not said hello after this long is closed (milliseconds).
pub const HELLO_DEADLINE_MS: u64 = 5_000;
/// How long a dial may take, hello included (milliseconds): far above any round trip, below a person's patience.
pub const CONNECT_TIMEOUT_MS: u64 = 2_000;
/// A link that broke is dialled again after about this long, doubling (milliseconds).
pub const REDIAL_MS_MIN: u64 = 50;
/// A peer that is away is dialled about this often (milliseconds): it is met soon after it is back, and costs next to nothing.
pub const REDIAL_MS_MAX: u64 = 1_000;
/// The member with the larger id dials only after there has been no link for this long (milliseconds): the smaller has had its tries by then, and
/// perhaps does not know where the other is now.
pub const REDIAL_OUT_OF_TURN_MS: u64 = 3_000;
/// Frames that one connection may have stepped before others get their turn.
pub const FRAMES_PER_TURN_MAX: usize = 128;
/// Bytes that one read of a connection takes at most, so that others get their turn.
pub const READ_BYTES_PER_TURN: usize = 128 << 10;
/// Largest frame of a client, in bytes: the largest value, context and key, and room for what stands around them.
pub const REQUEST_FRAME_BYTES_MAX: usize = VALUE_BYTES_MAX + CONTEXT_BYTES_MAX + (64 << 10);
/// A frame has to be complete this long after its first byte (milliseconds): unfinished ones hold memory.
pub const FRAME_DEADLINE_MS: u64 = 30_000;
/// A client's unfinished frame below this size (bytes) is always read on; all connections together stay below 256 MiB by it.
pub const UNFINISHED_BYTES_SMALL: usize = 64 << 10;
/// Unfinished frames of all clients together (bytes): above it, larger ones wait until others are complete, or given up.
pub const UNFINISHED_BYTES_MAX: usize = 256 << 20;
/// Unsent answers of all clients together (bytes): above it, nobody is read from who has any.
pub const UNSENT_BYTES_MAX: usize = 512 << 20;
/// File handles kept for the log and for what the process itself needs, out of those that the system allows.
pub const HANDLES_RESERVED: u64 = 256;
/// Requests of one client connection that may be under way; it is not read from while it has more. Deep pipelines fit.
pub const CLIENT_IN_FLIGHT_MAX: usize = 1_024;
/// A client connection with more unsent bytes than this is not read from until they have gone.
pub const CLIENT_PAUSE_BYTES: usize = 4 << 20;
/// A connection whose other side takes no byte for this long, while there are some for it, is closed (milliseconds).
pub const DRAIN_DEADLINE_MS: u64 = 10_000;
/// Bytes handed to the log but not yet written before requests are refused as `Overloaded`.
pub const LOG_PENDING_BYTES_MAX: usize = 64 << 20;
/// Longest sync interval (milliseconds): a power cut must not cost more than a minute of writes.
pub const SYNC_INTERVAL_MS_MAX: u32 = 60_000;
/// Bytes that may wait for a log whose disk is full before it refuses what other peers send: what does not fit is of no use to them.
pub const LOG_PENDING_BYTES_FULL: usize = 4 << 20;
/// A request that takes longer is told of (milliseconds): a fifth of its deadline, long after a hedge should have helped.
pub const SLOW_REQUEST_MS_DEFAULT: u64 = 1_000;
/// Bytes of records kept in memory for reads.
pub const CACHE_BYTES_DEFAULT: usize = 256 << 20;

/// Hints that one peer keeps for owners that are down, in bytes of their records: beyond it a stand-in takes nothing new, and the write needs
/// its owners. Some millions of small writes fit, and hours of an owner's absence.
pub const HINT_BYTES_MAX: u64 = 1 << 30;
/// The same, in keys: each takes some 400 bytes of memory.
pub const HINTS_MAX: usize = 1_000_000;
/// A debt older than this is said to people as a warning (milliseconds): a peer that is restarted is back long before.
pub const HINT_AGE_WARNING_MS: u64 = 60 * 60 * 1_000;
/// Hints on their way to one owner at the most, and in bytes: enough to keep a link and a log busy, too little to crowd out requests.
pub const HINTS_IN_FLIGHT_MAX: usize = 256;
/// The same in bytes; one hint alone may have more.
pub const HINT_BYTES_IN_FLIGHT_MAX: u64 = 4 << 20;
/// A hint that was not acknowledged after this long is sent again (milliseconds): the slowest healthy disk is faster.
pub const HINT_ANSWER_MS: u64 = 2_000;
/// After a hint was refused or not answered its owner is left in peace for this long, doubling (milliseconds).
pub const HINT_REST_MS_MIN: u64 = 100;
/// The longest such rest (milliseconds).
pub const HINT_REST_MS_MAX: u64 = 10_000;
/// A version is dropped this long after its expiry (milliseconds): clocks may disagree by that much.
pub const EXPIRY_GRACE_MS: u64 = 60_000;

/// The first segment of a log (bytes); each further one doubles up to `SEGMENT_BYTES_MAX`: small stores stay small.
pub const SEGMENT_BYTES_MIN: u64 = 1 << 20;
/// The largest segment of a log (bytes).
pub const SEGMENT_BYTES_MAX: u64 = 128 << 20;
/// A log that has been idle for this long syncs an empty mark, so that its last batch is known to have been durable.
pub const IDLE_MARK_MS: u64 = 100;
/// The largest record of the log (bytes): an entry merged from two of the largest frames fits, and half a segment holds it.
pub const RECORD_BYTES_MAX: usize = 64 << 20;
/// Segment files that one disk thread keeps open: opening one costs microseconds, a descriptor is scarce.
pub const SEGMENT_FILES_OPEN_MAX: usize = 256;

/// A whole round of comparisons, every partition with every other owner of it, takes about this long when nothing else is to do
/// (milliseconds): what hints and read repair have missed is found within minutes, at a cost that nobody notices.
pub const COMPARE_ROUND_MS: u64 = 60_000;
/// Comparisons are begun in bursts this far apart (milliseconds): an idle peer is not woken for each of them.
pub const COMPARE_BURST_MS: u64 = 1_000;
/// Pulls under way at one peer: each keeps a clock, and the keys and prefixes that it has still to ask for.
pub const PULLS_MAX: usize = 32;
/// Pulls that are taken over and wait for the disk, at one peer: behind a full or a slow one there are no more, until some are durable.
pub const PULLS_SETTLING_MAX: usize = 1_000;
/// Questions of pulls that wait for an answer, all pulls together, while clients ask for little.
pub const PULL_QUESTIONS_MAX: usize = 8;
/// From so many operations under way on, pulls ask one question at a time and pause between them.
pub const PULL_YIELDS_FROM_OPERATIONS: usize = 32;
/// That pause, for each key or prefix that was asked for (microseconds): some two thousand a second then, a few percent of what a core does.
pub const PULL_PAUSE_US_PER_ITEM: u64 = 500;
/// A question of a pull that has not been answered after this long is asked again (milliseconds), and once more after twice that.
pub const PULL_ANSWER_MS: u64 = 2_000;
/// So many questions without an answer end a pull.
pub const PULL_TRIES_MAX: u32 = 3;
/// After a pull has failed, the pair waits this long (milliseconds), doubling up to a round.
pub const PULL_BACKOFF_MS: u64 = 500;
/// Most prefixes in one question.
pub const WALK_PREFIXES_MAX: usize = 512;
/// Bytes of an answer to them, about: what fits is answered, the rest is asked for again.
pub const WALK_ANSWER_BYTES: usize = 128 << 10;
/// Most prefixes that a pull has still to look at: no two tries differ in more ways at once than their depth and width allow; a peer
/// that says so is broken.
pub const WALK_PREFIXES_OPEN_MAX: usize = 1 << 20;
/// Sub-trees of at most this many keys may be listed instead of going on down: beyond it, sums are always less.
pub const WALK_LIST_KEYS_MAX: usize = 16;
/// Sub-trees of at most this many keys, of which the other side has none, are asked for key by key.
pub const WALK_ALONE_KEYS_MAX: usize = 64;
/// Most keys in one question for entries.
pub const FETCH_KEYS_MAX: usize = 128;
/// Bytes of an answer to it, about; one entry always fits.
pub const FETCH_ANSWER_BYTES: usize = 1 << 20;
/// Bytes of explicit contexts in one answer, about; the rest comes by pages.
pub const CONTEXT_PAGE_BYTES: usize = 256 << 10;
/// Snapshots of contexts that are kept for others at one time: each is a copy of those of a partition.
pub const SNAPSHOTS_MAX: usize = 4;
/// A snapshot of which no page has been asked for this long is dropped (milliseconds).
pub const SNAPSHOT_KEPT_MS: u64 = 15_000;
/// Questions for entries that are being answered at one time; they may wait for the disk.
pub const ANSWERS_MAX: usize = 16;
/// Keys that arrive during a pull and have to be asked for again; beyond it, the pull walks once more instead.
pub const LATE_KEYS_MAX: usize = 16_384;
/// Bytes of keys or of half bytes in one front-coded row, as they come out.
pub const FRONT_CODED_BYTES_MAX: usize = 4 << 20;

/// Longest head of an HTTP request, in bytes: a key with every byte written as a percent code, a context, and what browsers add.
pub const HTTP_HEAD_BYTES_MAX: usize = 128 << 10;
/// Longest context in a header of an answer, in characters: common clients refuse lines from 64 KiB on. A longer one is handed out by `/batch/get`.
pub const HTTP_CONTEXT_CHARS_MAX: usize = 48 << 10;
/// An HTTP connection that has sent no whole head of a request for this long is closed (milliseconds). Pools of clients keep theirs about as long,
/// and one that sends its head slowly costs no more than one that is idle.
pub const HTTP_HEAD_DEADLINE_MS: u64 = 60_000;
/// The body of an HTTP request has to be complete this long after its head (milliseconds): unfinished ones hold memory.
pub const HTTP_BODY_DEADLINE_MS: u64 = 30_000;
/// A body of an HTTP request takes room in steps of so many bytes, as they arrive: who only announces a large one takes none. The first step is free, so
/// that small requests pass whatever others do.
pub const HTTP_BODY_BYTES_STEP: usize = 64 << 10;
/// Room for all bodies of HTTP requests beyond their first steps, in bytes; when it is taken, larger ones are `Overloaded`.
pub const HTTP_BODIES_BYTES_MAX: usize = 128 << 20;
/// A refused body is still taken, and thrown away, for this long (milliseconds), so that its sender gets to read the answer.
pub const HTTP_LINGER_MS: u64 = 1_000;
/// Most entries of one batch.
pub const BATCH_ENTRIES_MAX: usize = 1_000;
/// Largest body of a batch, in bytes: some of the largest values.
pub const BATCH_BYTES_MAX: usize = 8 << 20;
/// Largest answer to a batch of reads, in bytes, about; what does not fit is to be asked for again.
pub const BATCH_ANSWER_BYTES_MAX: usize = 16 << 20;
/// Entries of one batch that are asked for at once: enough to keep a peer busy, too few to fill its queues.
pub const BATCH_IN_FLIGHT_MAX: usize = 64;
