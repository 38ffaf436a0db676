import Engine

/// How far a run has come through its answers: what ``Recorder`` and ``Replay`` keep alike, so that
/// a snapshot taken while recording can be gone on from while replaying.
struct ChoiceProgress: Equatable {
  /// Entries written down, or passed.
  var entries: UInt64 = 0
  /// Round robin's slices since the last that was not.
  var usualSlices: UInt64 = 0
  /// Standard time slices since the last that was not.
  var usualTimeSlices: UInt64 = 0
  /// Times that the console had nothing since it last had something.
  var nothingYet: UInt64 = 0
  /// Random bytes that followed from the seed.
  var randomBytes: UInt64 = 0
  /// The time at the start of the run, once it was asked for.
  var start: UInt64?
  /// Instructions of boards that were reset.
  var countBefore: UInt64 = 0

  /// Bytes of ``encoded``.
  static let size = 64

  /// Eight words.
  var encoded: [UInt8] {
    var bytes = [UInt8](repeating: 0, count: Self.size)
    let words = [
      entries, usualSlices, usualTimeSlices, nothingYet, randomBytes, start ?? 0,
      start == nil ? 0 : 1, countBefore,
    ]
    for (index, word) in words.enumerated() { bytes.store64(8 * index, word) }
    return bytes
  }

  /// What ``encoded`` gave; zeros where bytes are missing.
  init(decoding bytes: [UInt8]) {
    entries = bytes.load64(0)
    usualSlices = bytes.load64(8)
    usualTimeSlices = bytes.load64(16)
    nothingYet = bytes.load64(24)
    randomBytes = bytes.load64(32)
    start = bytes.load64(48) == 0 ? nil : bytes.load64(40)
    countBefore = bytes.load64(56)
  }

  /// At the beginning.
  init() {}
}
