#if canImport(Glibc)
private import Glibc
#elseif canImport(Musl)
private import Musl
#endif

/// Writes a trace file, chunk by chunk, in a thread of its own: packing and the host's disk don't
/// hold up who records.
///
/// What was written whole can be read whatever happens to the process afterwards.
public final class TraceWriter {
  private let queue: WriterQueue

  /// Makes the file anew.
  ///
  /// - Parameters:
  ///   - path: where.
  ///   - level: how hard zstd tries, 1 to 19.
  /// - Throws: why it can't be.
  public init(_ path: String, level: Int32 = 3) throws(TraceFileError) {
    let file = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o644)
    guard file >= 0 else { throw .host("\(path): \(String(cString: strerror(errno)))") }
    queue = WriterQueue(file: file, path: path, level: level, index: [], size: 0)
    queue.start(writesHeader: true)
  }

  /// Goes on with a file behind its last whole chunk.
  public init(continuing reader: TraceReader, level: Int32 = 3) throws(TraceFileError) {
    let path = reader.path
    let file = open(path, O_WRONLY | O_CLOEXEC)
    guard file >= 0, ftruncate(file, off_t(reader.contentEnd)) == 0,
      lseek(file, 0, SEEK_END) >= 0
    else {
      let why = String(cString: strerror(errno))
      if file >= 0 { close(file) }
      throw .host("\(path): \(why)")
    }
    queue = WriterQueue(
      file: file, path: path, level: level,
      index: reader.chunks.map { ($0.header, $0.offset) }, size: reader.contentEnd)
    queue.start(writesHeader: false)
  }

  deinit { queue.abandon() }

  /// Writes a record, in several chunks where it is long.
  ///
  /// - Parameters:
  ///   - kind: what it is.
  ///   - first: the instruction count that it begins at.
  ///   - bytes: its bytes.
  public func write(_ kind: ChunkKind, first: UInt64 = 0, _ bytes: [UInt8]) {
    queue.add(WriterQueue.Record(kind: kind, first: first, bytes: bytes))
  }

  /// Why something could not be written, the first time; nothing is written after that.
  public var problem: String? { queue.problem }

  /// Waits until everything is written.
  public func drain() { queue.drain() }

  /// Bytes in the file so far.
  public var size: UInt64 { queue.writtenSize }

  /// Writes the index and closes the file.
  ///
  /// - Returns: why it is not complete.
  public func finish() -> String? { queue.finish() }
}

/// What two threads share: records on their way, behind one lock.
private final class WriterQueue: @unchecked Sendable {
  struct Record {
    var kind: ChunkKind
    var first: UInt64
    var bytes: [UInt8]
  }

  /// Bytes on their way at most; who has more waits.
  private static let room = 64 << 20

  private let lock = UnsafeMutablePointer<pthread_mutex_t>.allocate(capacity: 1)
  private let changed = UnsafeMutablePointer<pthread_cond_t>.allocate(capacity: 1)
  // Under the lock.
  private var records: [Record] = []
  private var waiting = 0
  private var isBusy = false
  private var isClosing = false
  private var problemText: String?
  private var size: UInt64

  // The writing thread's alone.
  private let file: Int32
  private let path: String
  private let packer: Packer
  private var index: [(header: ChunkHeader, offset: UInt64)]
  private var end: UInt64
  private var thread: pthread_t?

  init(
    file: Int32, path: String, level: Int32, index: [(header: ChunkHeader, offset: UInt64)],
    size: UInt64
  ) {
    self.file = file
    self.path = path
    self.index = index
    self.size = size
    end = size
    packer = Packer(level: level)
    pthread_mutex_init(lock, nil)
    pthread_cond_init(changed, nil)
  }

  deinit {
    close(file)
    pthread_mutex_destroy(lock)
    pthread_cond_destroy(changed)
    lock.deallocate()
    changed.deallocate()
  }

  func start(writesHeader: Bool) {
    if writesHeader { put(FileHeader().encoded) }
    size = end
    var thread = pthread_t()
    let raw = Unmanaged.passRetained(self).toOpaque()
    // Ctrl-C is the business of the thread that runs the guest.
    var all = sigset_t()
    var before = sigset_t()
    sigfillset(&all)
    pthread_sigmask(SIG_SETMASK, &all, &before)
    let code = pthread_create(
      &thread, nil,
      { raw in
        guard let raw else { return nil }
        Unmanaged<WriterQueue>.fromOpaque(raw).takeRetainedValue().run()
        return nil
      }, raw)
    pthread_sigmask(SIG_SETMASK, &before, nil)
    if code == 0 {
      self.thread = thread
    } else {
      Unmanaged<WriterQueue>.fromOpaque(raw).release()
      problemText = "\(path): the host refuses a thread"
    }
  }

  private func locked<T>(_ body: () -> T) -> T {
    pthread_mutex_lock(lock)
    defer { pthread_mutex_unlock(lock) }
    return body()
  }

  var problem: String? { locked { problemText } }
  var writtenSize: UInt64 { locked { size } }

  func add(_ record: Record) {
    locked {
      while waiting > Self.room, problemText == nil { pthread_cond_wait(changed, lock) }
      guard problemText == nil else { return }
      waiting += record.bytes.count
      records.append(record)
      pthread_cond_broadcast(changed)
    }
  }

  func drain() {
    locked {
      while problemText == nil, isBusy || !records.isEmpty { pthread_cond_wait(changed, lock) }
    }
  }

  func finish() -> String? {
    locked {
      isClosing = true
      pthread_cond_broadcast(changed)
    }
    if let thread { pthread_join(thread, nil) }
    thread = nil
    guard problem == nil else { return problem }
    let start = end
    var bytes = ByteWriter()
    bytes.number(UInt64(index.count))
    for entry in index {
      bytes.fixed(entry.offset)
      bytes.bytes(entry.header.encoded)
    }
    put(ChunkKind.index, 0, bytes.data[...], continues: false)
    put(Trailer(index: start).encoded)
    locked { size = end }
    return problem
  }

  /// The file stays as far as it was written.
  func abandon() {
    locked {
      isClosing = true
      pthread_cond_broadcast(changed)
    }
    if let thread { pthread_join(thread, nil) }
    thread = nil
  }

  // MARK: The writing thread

  private func run() {
    while let record = next() {
      var at = 0
      repeat {
        let count = min(TraceLimits.piece, record.bytes.count - at)
        let continues = at + count < record.bytes.count
        put(record.kind, record.first, record.bytes[at..<at + count], continues: continues)
        at += count
      } while at < record.bytes.count
      locked {
        waiting -= record.bytes.count
        isBusy = false
        size = end
        pthread_cond_broadcast(changed)
      }
    }
  }

  private func next() -> Record? {
    locked {
      while records.isEmpty {
        if isClosing { return nil }
        pthread_cond_wait(changed, lock)
      }
      isBusy = true
      return records.removeFirst()
    }
  }

  private func put(
    _ kind: ChunkKind, _ first: UInt64, _ piece: ArraySlice<UInt8>, continues: Bool
  ) {
    let bytes = Array(piece)
    let packed = packer.pack(bytes)
    let stored = packed ?? bytes
    var flags: UInt32 = 0
    if packed != nil { flags |= ChunkHeader.Flags.packed }
    if continues { flags |= ChunkHeader.Flags.continues }
    let header = ChunkHeader(
      kind: kind, number: UInt64(index.count), storedLength: UInt64(stored.count),
      length: UInt64(bytes.count), flags: flags, first: first, digest: XXH64.hash(stored))
    let offset = end
    // One write for both: a process that is killed rarely leaves half of it.
    put(header.encoded + stored)
    index.append((header, offset))
  }

  private func put(_ bytes: [UInt8]) {
    guard problem == nil else { return }
    var done = 0
    while done < bytes.count {
      let wrote = bytes.withUnsafeBytes { raw in
        raw.baseAddress.map { write(file, $0 + done, bytes.count - done) } ?? 0
      }
      if wrote > 0 {
        done += wrote
      } else if wrote < 0, errno != EINTR {
        let text = "\(path): \(String(cString: strerror(errno)))"
        locked {
          problemText = text
          pthread_cond_broadcast(changed)
        }
        return
      }
    }
    end += UInt64(bytes.count)
  }
}
