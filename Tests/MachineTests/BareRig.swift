import Engine
import Foundation
import Machine
import RISCV
import Testing

/// A console with everything typed beforehand.
final class TypedConsole: BareConsole {
  var output: [UInt8] = []
  /// What has arrived, and what is typed only when the guest waits for it.
  private var arrived: ArraySlice<UInt8>
  private var later: ArraySlice<UInt8>

  /// `input` has been typed; a patient typist sends each byte when the guest waits.
  init(input: [UInt8] = [], patient: Bool = false) {
    arrived = patient ? [] : input[...]
    later = patient ? input[...] : []
  }

  func write(_ bytes: [UInt8], stream: Int) { output += bytes }
  func next() -> UInt8? { arrived.popFirst() }

  func waitForInput() -> Bool {
    if arrived.isEmpty, let byte = later.popFirst() { arrived.append(byte) }
    return !arrived.isEmpty
  }
}

/// A bare board in the test's own process.
final class BareRig {
  /// More than any image in these tests needs: who gets here hangs.
  static let limit: UInt64 = 2_000_000_000

  struct Options {
    var harts = 1
    var quantum: UInt64 = 1000
    var caches = CacheModel.coherent
    var supervisor = false
    var patient = false
    var engine = BackEnd.standard
  }

  let machine: BareMachine
  let console: TypedConsole
  let image: BareImage

  init(_ bytes: [UInt8], _ options: Options = Options(), input: [UInt8] = []) throws {
    var configuration = BareConfiguration()
    configuration.memory = 64 << 20
    configuration.harts = options.harts
    configuration.quantum = options.quantum
    configuration.cacheModel = options.caches
    configuration.engine = options.engine
    image = try BareImage(bytes, loadAddress: nil)
    configuration.architecture = image.architecture
    console = TypedConsole(input: input, patient: options.patient)
    machine = try #require(
      BareMachine(configuration, console: console, startOfRun: 1_600_000_000_000_000_000))
    if let problem = image.load(into: machine.ram) { Issue.record("\(problem)") }
    machine.enter(image, options.supervisor ? .supervisor : .machine)
    if let tohost = image.physical(of: "tohost") {
      machine.watchHTIF(tohost: tohost, fromhost: image.physical(of: "fromhost"))
    }
  }

  /// Runs to the end or the limit, with a stop after every `slice` instructions.
  func run(slice: UInt64 = limit, limit: UInt64 = limit) -> BareExit {
    while true {
      let target = min(machine.count + slice, limit)
      let exit = machine.run(limit: target)
      guard exit == .limit, target < limit else { return exit }
      if machine.count != target {
        Issue.record("stopped at \(machine.count), not at \(target)")
        return exit
      }
    }
  }

  /// What differs between two machines that should be in the same state.
  func differences(from other: BareRig) -> [String] {
    var found: [String] = []
    if console.output != other.console.output { found.append("output") }
    for (a, b) in zip(machine.harts, other.machine.harts) {
      if a.pc != b.pc { found.append("hart \(a.index): pc \(a.pc) and \(b.pc)") }
      let slots = [0..<Slot.temp, Slot.fp..<Slot.pending, Slot.system..<Slot.total]
      let counters = [Slot.count, Slot.exceptions, Slot.reservation]
      for slot in slots.joined() + counters where a.x[slot] != b.x[slot] {
        found.append("hart \(a.index): slot \(slot): \(a.x[slot]) and \(b.x[slot])")
      }
    }
    if memcmp(machine.ram.host, other.machine.ram.host, Int(machine.ram.size)) != 0 {
      found.append("RAM")
    }
    return found
  }
}

extension PhysicalMemory {
  /// Writes instructions at a physical address.
  func put(_ address: UInt64, _ insns: [Insn]) throws {
    var at = address
    for insn in insns {
      let bits = try #require(Encoder.encode(insn), "no encoding: \(insn)")
      for byte in 0..<UInt64(insn.length) {
        store(at + byte, UInt8(truncatingIfNeeded: bits >> UInt32(8 * byte)))
      }
      at += UInt64(insn.length)
    }
  }
}
