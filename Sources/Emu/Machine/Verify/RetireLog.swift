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
  private let userRuns: [Run]
  private let kernelRuns: [Run]
  private let stride: Int
  private var entries: [Entry] = []
  /// A row for each entry; an instruction's holds its state.
  private var values: UnsafeMutablePointer<UInt64>
  private var capacity: Int
  private var first = 0

  /// Neighbouring slots, or one of which not all bits count.
  private struct Run {
    var slot: Int
    var count: Int
    var mask: UInt64
  }

  private static func runs(_ state: [StateSlot]) -> [Run] {
    var runs: [Run] = []
    for slot in state {
      if slot.mask == .max, let last = runs.last, last.mask == .max,
        last.slot + last.count == slot.slot
      {
        runs[runs.count - 1].count += 1
      } else {
        runs.append(Run(slot: slot.slot, count: 1, mask: slot.mask))
      }
    }
    return runs
  }

  init(userState: [StateSlot], kernelState: [StateSlot]) {
    self.userState = userState
    self.kernelState = kernelState
    userRuns = Self.runs(userState)
    kernelRuns = Self.runs(kernelState)
    stride = max(userState.count, kernelState.count, 1)
    capacity = 1 << 12
    values = .allocate(capacity: capacity * stride)
  }

  deinit { values.deallocate() }

  /// Entries that were ever added.
  private(set) var total: UInt64 = 0
  /// Entries that were not dropped.
  var count: Int { entries.count - first }

  private func append(_ entry: Entry) {
    if entries.count == capacity {
      let larger = UnsafeMutablePointer<UInt64>.allocate(capacity: 2 * capacity * stride)
      larger.update(from: values, count: capacity * stride)
      values.deallocate()
      values = larger
      capacity *= 2
    }
    entries.append(entry)
    total &+= 1
  }

  /// Adds an instruction of a program, or of the kernel, and the state that it begins with.
  func appendInsn(_ entry: Entry, _ hart: Hart) {
    let row = entries.count * stride
    append(entry)
    let x = hart.x
    var to = values + row
    for run in entry.kind == .kernelInsn ? kernelRuns : userRuns {
      if run.mask == .max {
        to.update(from: x + run.slot, count: run.count)
      } else {
        to.pointee = x[run.slot] & run.mask
      }
      to += run.count
    }
  }

  /// Adds a store.
  func appendStore(_ entry: Entry) { append(entry) }

  /// The entry `index` places from the front.
  func entry(_ index: Int) -> Entry { entries[first + index] }

  /// The state that an instruction began with.
  func state(_ index: Int) -> [UInt64] {
    let count = width(entries[first + index].kind)
    return Array(UnsafeBufferPointer(start: values + (first + index) * stride, count: count))
  }

  /// The values that are kept of a kind of entry.
  private func width(_ kind: Entry.Kind) -> Int {
    switch kind {
    case .insn: userState.count
    case .kernelInsn: kernelState.count
    case .store: 0
    }
  }

  /// How many entries at the front are equal in both; at most what the shorter has.
  func commonPrefix(_ other: RetireLog) -> Int {
    let count = min(count, other.count)
    return entries.withUnsafeBufferPointer { mine in
      other.entries.withUnsafeBufferPointer { theirs in
        for index in 0..<count {
          let entry = mine[first + index]
          guard entry == theirs[other.first + index] else { return index }
          let one = values + (first + index) * stride
          let two = other.values + (other.first + index) * stride
          var difference: UInt64 = 0
          for place in 0..<width(entry.kind) { difference |= one[place] ^ two[place] }
          if difference != 0 { return index }
        }
        return count
      }
    }
  }

  /// Forgets entries at the front.
  func drop(_ count: Int) {
    first += count
    guard first >= 1 << 14 || first == entries.count else { return }
    values.update(from: values + first * stride, count: (entries.count - first) * stride)
    entries.removeSubrange(..<first)
    first = 0
  }
}
