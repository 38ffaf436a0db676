import TraceFile

/// Writes a recorder's answers into a trace file.
///
/// What comes before ``begin(_:_:)`` waits for it: the description names the files of the run, which
/// are known once they were read.
public final class TraceSink: ChoiceSink {
  /// Bytes of answers that are written together.
  private static let chunk = 1 << 18
  /// Seconds of answers that a process that is killed may lose.
  private static let delay = 0.25

  private var writer: TraceWriter?
  private var encoder = ChoiceEncoder()
  private var entries: UInt64 = 0
  private var blobs = ByteWriter()
  private var waitingBlobs: UInt64 = 0
  private var blobNumbers: [[UInt8]: UInt64] = [:]
  private var clock = Stopwatch()
  /// The files that the run was made of: path, bytes, digest.
  public private(set) var images: [(path: String, size: Int, digest: [UInt8])] = []
  /// Instructions begun when something was written last.
  private var reached: UInt64 = 0

  /// Nothing is written yet.
  public init() {}

  /// Takes an answer.
  public func append(_ entry: ChoiceEntry) {
    if case .contents(let path, let bytes?, _, _) = entry.choice {
      images.append((path, bytes.count, SHA256.hash(bytes)))
    }
    encoder.add(entry) { store($0) }
    if encoder.bytes.count >= Self.chunk || blobs.count >= TraceLimits.piece {
      flush(at: entry.count)
    }
  }

  /// Stores bytes, each content once.
  private func store(_ bytes: [UInt8]) -> UInt64 {
    let digest = SHA256.hash(bytes)
    if let number = blobNumbers[digest] { return number }
    let number = UInt64(blobNumbers.count)
    blobNumbers[digest] = number
    blobs.bytes(digest)
    blobs.counted(bytes)
    waitingBlobs &+= 1
    return number
  }

  /// Makes the file and writes what has come so far.
  public func begin(_ path: String, _ description: RunDescription) throws(TraceFileError) {
    let writer = try TraceWriter(path)
    self.writer = writer
    writer.write(.configuration, description.encoded)
    flush(at: 0)
  }

  /// Writes what is waiting.
  ///
  /// - Parameter count: instructions begun; until then there are no more answers.
  public func flush(at count: UInt64) {
    guard let writer else { return }
    if waitingBlobs > 0 {
      var record = ByteWriter()
      record.number(UInt64(blobNumbers.count) &- waitingBlobs)
      record.bytes(blobs.data)
      writer.write(.blob, first: count, record.data)
      blobs.removeAll()
      waitingBlobs = 0
    }
    var record = ByteWriter()
    record.number(entries)
    record.number(encoder.entries)
    record.number(reached)
    record.number(count)
    record.bytes(encoder.bytes.data)
    writer.write(.choices, first: reached, record.data)
    entries &+= encoder.entries
    reached = count
    encoder.begin(at: count)
    clock = Stopwatch()
  }

  /// Writes what is waiting if it has waited long enough.
  public func flushIfDue(at count: UInt64) {
    if clock.seconds >= Self.delay { flush(at: count) }
  }

  /// Writes a record of another kind, behind what was answered so far.
  public func write(_ kind: ChunkKind, at count: UInt64, _ bytes: [UInt8]) {
    flush(at: count)
    writer?.write(kind, first: count, bytes)
  }

  /// Why something could not be written.
  public var problem: String? { writer?.problem }

  /// Bytes in the file.
  public var size: UInt64 { writer?.size ?? 0 }

  /// Writes how the run ended, and closes the file.
  ///
  /// - Returns: why the file is not complete.
  public func finish(at count: UInt64, _ end: RunDescription) -> String? {
    flush(at: count)
    writer?.write(.end, first: count, end.encoded)
    return writer?.finish()
  }
}
