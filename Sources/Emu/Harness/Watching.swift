import Engine
import GuestKernel
import Machine

/// Hands a hart's instructions to those who want them.
final class InsnObservers: InsnObserver {
  private let stops: StopWatcher?
  private let tail: InsnTail?

  init(stops: StopWatcher?, tail: InsnTail?) {
    self.stops = stops
    self.tail = tail
  }

  func willExecute(_ pc: UInt64, on hart: Hart) {
    tail?.note(pc, hart)
    stops?.note(pc, hart)
  }
}

/// The last instructions before the end, as a ring.
final class InsnTail {
  private struct Entry {
    var pc: UInt64 = 0
    var count: UInt64 = 0
    var hart = 0
    var bytes: [UInt8] = []
    var code: CodeKind = 0
    /// The mapping that it lies in, where that is not the program.
    var mapping: String?
  }

  private unowned let rig: Rig
  private let guest: Guest
  private let isa: any TraceISA
  private var ring: [Entry]
  private var next = 0
  private let userModes: UInt64

  init(_ rig: Rig, count: Int) {
    self.rig = rig
    guest = rig.prepared.scenario.machine.guest
    isa = guest.architecture.trace
    ring = Array(repeating: Entry(), count: count)
    userModes = guest.userModes
  }

  func note(_ pc: UInt64, _ hart: Hart) {
    let isUser = userModes >> hart.x[Slot.mmuIndex] & 1 == 1
    // What the program did tells more than how the kernel ended it.
    if rig.linux != nil, !isUser { return }
    let bytes = isa.insnBytes(at: pc, hart)
    var entry = Entry(
      pc: pc, count: hart.count, hart: hart.index, bytes: bytes, code: hart.isa.codeKind(hart))
    if isUser, rig.prepared.text(at: pc) == nil {
      entry.mapping = rig.linux?.kernel.current?.space?.vma(at: pc)?.name
    }
    ring[next % ring.count] = entry
    next += 1
  }

  /// A line each: count, place, text.
  var lines: [String] {
    let first = max(next - ring.count, 0)
    return (first..<next).map { index in
      let entry = ring[index % ring.count]
      var bytes = entry.bytes
      var note = ""
      // A break that is not the program's own stands for the instruction below it.
      if rig.linux != nil, guest.isBreakpoint(bytes),
        let own = rig.prepared.text(at: entry.pc), !guest.isBreakpoint(own)
      {
        bytes = own
        note = " (probed)"
      }
      let text = isa.disassemble(bytes, at: entry.pc, code: entry.code).replacing("\t", with: " ")
      let hart = rig.harts.count > 1 ? "hart \(entry.hart) " : ""
      let place = entry.mapping.map { "0x\(String(entry.pc, radix: 16)) \($0)" }
      return "\(entry.count) \(hart)\(place ?? rig.describe(entry.pc)): \(text)\(note)"
    }
  }
}

/// Checks registers and memory where execution comes to a place.
final class StopWatcher {
  private unowned let rig: Rig
  private let stops: [Scenario.Stop]
  private var places: [UInt64: [Int]] = [:]
  private var seen: [UInt64]
  private var failures: [String] = []

  init(_ rig: Rig) throws(HarnessError) {
    self.rig = rig
    stops = rig.prepared.scenario.stops
    seen = Array(repeating: 0, count: stops.count)
    for (index, stop) in stops.enumerated() {
      guard let address = rig.address(of: stop.place) else {
        throw HarnessError("there is no place '\(stop.place)'")
      }
      for name in stop.registers.keys where rig.register(name) == nil {
        throw HarnessError("there is no register '\(name)'")
      }
      places[address, default: []].append(index)
    }
  }

  func note(_ pc: UInt64, _ hart: Hart) {
    guard let indices = places[pc] else { return }
    for index in indices {
      seen[index] += 1
      guard seen[index] == stops[index].nth else { continue }
      let place = "at \(stops[index].place), count \(hart.count)"
      failures += rig.differences(
        registers: stops[index].registers, memory: stops[index].memory, hart: hart.index
      ).map { "\(place): \($0)" }
    }
  }

  func reset() {
    seen = Array(repeating: 0, count: stops.count)
    failures = []
  }

  func failures(atEnd ending: Ending) -> [String] {
    failures
      + stops.indices.filter { seen[$0] < stops[$0].nth }.map {
        "at \(stops[$0].place): expected to come there \(stops[$0].nth) times, "
          + "came \(seen[$0]) times"
      }
  }
}
