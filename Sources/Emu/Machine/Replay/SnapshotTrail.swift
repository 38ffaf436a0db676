import TraceFile

/// Takes snapshots of a run as it goes, often enough that every place is near one, seldom enough that
/// the run is hardly slower.
final class SnapshotTrail {
  /// Seconds of the run between two, at least: so long does it take to get from one to any place
  /// behind it.
  private static let interval = 0.35
  /// How many times longer the run is between two than the last one took.
  private static let patience = 40.0

  private var clock = Stopwatch()
  private var cost = 0.0
  private var last: MachineSnapshot?
  private var number: UInt64 = 0
  private var isPossible = true

  /// Takes a snapshot if it is time for one.
  ///
  /// - Parameters:
  ///   - session: the run, between two instructions.
  ///   - write: takes the bytes of a `SNAP` record.
  func visit(_ session: any GuestSession, write: ([UInt8]) -> Void) {
    guard isPossible, clock.seconds >= max(Self.interval, cost * Self.patience) else { return }
    let watch = Stopwatch()
    guard let snapshot = try? session.takeSnapshot() else {
      isPossible = false
      return
    }
    var record = ByteWriter()
    record.number(number)
    record.bytes(snapshot.encoded(since: last))
    number &+= 1
    last = snapshot
    write(record.data)
    cost = watch.seconds
    clock = Stopwatch()
  }
}

extension RecordedRun {
  /// The indices and counts of the chunks that begin snapshots, in order.
  private var snapshotChunks: [(index: Int, count: UInt64)] {
    var found: [(index: Int, count: UInt64)] = []
    for (index, chunk) in file.chunks.enumerated()
    where chunk.header.kind == .snapshot && (index == 0 || !file.chunks[index - 1].header.continues)
    {
      found.append((index, chunk.header.first))
    }
    return found
  }

  /// How many snapshots there are.
  public var snapshotCount: Int { snapshotChunks.count }

  /// The last snapshot at or before an instruction; each needs the one before it.
  ///
  /// - Returns: `nil` where there is none behind `after`.
  func snapshot(
    before count: UInt64, after: UInt64
  ) throws(TraceFileError) -> MachineSnapshot? {
    let chunks = snapshotChunks.prefix { $0.count <= count }
    guard let last = chunks.last, last.count > after else { return nil }
    var parent: MachineSnapshot?
    for (number, chunk) in chunks.enumerated() {
      let bytes = try file.record(chunk.index).bytes
      var reader = ByteReader(bytes)
      guard try reader.number() == UInt64(number) else {
        throw .malformed("snapshots are not in order")
      }
      do throws(SnapshotError) {
        parent = try MachineSnapshot(decoding: reader.rest(), parent: parent)
      } catch {
        throw .malformed("snapshot \(number): \(error)")
      }
    }
    return parent
  }
}
