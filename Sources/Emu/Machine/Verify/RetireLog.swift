import Engine

/// What a program did, in order: instructions with the registers that they began with, and stores.
///
/// A queue: written at one end by a ``RetireWatch``, compared and dropped at the other.
final class RetireLog {
  /// What happened.
  struct Entry: Equatable {
    enum Kind: UInt8 {
      /// An instruction of a program began.
      case insn
      /// An instruction of the kernel began.
      case kernelInsn
      /// An instruction has stored.
      case store
    }
    var kind: Kind
    /// Bytes stored.
    var size: UInt8 = 0
    var task: Int32
    /// The pc, or where was stored.
    var address: UInt64
    /// What is in memory after a store.
    var value: UInt64 = 0
  }

  /// The registers of each kind of instruction.
  let userState: [StateSlot]
  let kernelState: [StateSlot]
  private let stride: Int
  private var entries: [Entry] = []
  private var values: [UInt64] = []
  private var first = 0

  init(userState: [StateSlot], kernelState: [StateSlot]) {
    self.userState = userState
    self.kernelState = kernelState
    stride = max(userState.count, kernelState.count, 1)
  }

  /// Entries that were ever added.
  private(set) var total: UInt64 = 0
  /// Entries that were not dropped.
  var count: Int { entries.count - first }

  /// Adds an instruction and the state that it begins with.
  func appendInsn(_ entry: Entry, _ hart: Hart, _ state: [StateSlot]) {
    entries.append(entry)
    total &+= 1
    let x = hart.x
    for slot in state { values.append(x[slot.slot] & slot.mask) }
    for _ in state.count..<stride { values.append(0) }
  }

  /// Adds a store.
  func appendStore(_ entry: Entry) {
    entries.append(entry)
    total &+= 1
    for _ in 0..<stride { values.append(0) }
  }

  /// The entry `index` places from the front.
  func entry(_ index: Int) -> Entry { entries[first + index] }

  /// The state that an entry's instruction began with.
  func state(_ index: Int) -> [UInt64] {
    let start = (first + index) * stride
    return Array(values[start..<start + stride])
  }

  /// How many entries at the front are equal in both; at most what the shorter has.
  func commonPrefix(_ other: RetireLog) -> Int {
    let count = min(count, other.count)
    return values.withUnsafeBufferPointer { mine in
      other.values.withUnsafeBufferPointer { theirs in
        for index in 0..<count {
          if entries[first + index] != other.entries[other.first + index] { return index }
          let one = (first + index) * stride
          let two = (other.first + index) * stride
          for place in 0..<stride where mine[one + place] != theirs[two + place] { return index }
        }
        return count
      }
    }
  }

  /// Forgets entries at the front.
  func drop(_ count: Int) {
    first += count
    guard first >= 1 << 14 || first == entries.count else { return }
    entries.removeSubrange(..<first)
    values.removeSubrange(..<(first * stride))
    first = 0
  }
}
