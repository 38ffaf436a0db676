import Engine
import Testing

@testable import Machine

/// Writes down what the firmware asks.
final class TestSBIHost: SBIHost {
  let ram: PhysicalMemory
  let hartCount: Int
  var log: [String] = []
  var states: [SBIHartState]
  var typed: [UInt8] = []
  var printed: [UInt8] = []
  var pendingIPI = false

  init(hartCount: Int = 4) throws {
    ram = try #require(PhysicalMemory(base: 0x8000_0000, size: 1 << 20))
    self.hartCount = hartCount
    states = Array(repeating: .stopped, count: hartCount)
    states[0] = .started
  }

  func setTimer(_ time: UInt64, hart: Int) { log.append("timer \(hart) \(time)") }
  func sendIPI(to hart: Int) { log.append("ipi \(hart)") }
  func clearIPI(hart: Int) -> Bool {
    defer { pendingIPI = false }
    return pendingIPI
  }
  func remoteFenceI(on hart: Int) { log.append("fencei \(hart)") }
  func remoteSFence(_ fence: SBIFence, on hart: Int) {
    let range = fence.range.map { "\($0.start)+\($0.size)" } ?? "all"
    log.append("sfence \(hart) \(range) \(fence.asid.map(String.init) ?? "-")")
  }
  func state(of hart: Int) -> SBIHartState { states[hart] }
  func start(hart: Int, address: UInt64, opaque: UInt64) {
    log.append("start \(hart) \(String(address, radix: 16)) \(opaque)")
  }
  func stop(hart: Int) { log.append("stop \(hart)") }
  func suspend(hart: Int) { log.append("suspend \(hart)") }
  func suspend(hart: Int, resumeAt address: UInt64, opaque: UInt64) {
    log.append("suspend \(hart) \(String(address, radix: 16)) \(opaque)")
  }
  func reset(_ kind: SBIReset, systemFailure: Bool) { log.append("reset \(kind) \(systemFailure)") }
  func consoleWrite(_ bytes: [UInt8]) { printed += bytes }
  func consoleRead() -> UInt8? { typed.isEmpty ? nil : typed.removeFirst() }
  func loadVirtual(_ va: UInt64, hart: Int) -> UInt64? { ram.load(va &- 0x1000, as: UInt64.self) }
}

@Suite struct SBITests {
  typealias EID = SBI.Extension

  /// One call: what it returns (a value, an error or nothing) and what it made the machine do.
  struct Row: Sendable, CustomTestStringConvertible {
    let ext: UInt64
    let function: UInt64
    let args: [UInt64]
    let result: SBIResult
    let log: [String]

    init(
      _ ext: UInt64, _ function: UInt64, _ args: [UInt64], _ result: SBIResult, _ log: [String] = []
    ) {
      self.ext = ext
      self.function = function
      self.args = args
      self.result = result
      self.log = log
    }

    var testDescription: String { "\(String(ext, radix: 16)) \(function) \(args)" }
  }

  static let all: UInt64 = .max
  static let entry: UInt64 = 0x8000_1000

  static let rows: [Row] = [
    Row(EID.base, 0, [], .success(0x0200_0000)),
    Row(EID.base, 1, [], .success(SBI.implementationID)),
    Row(EID.base, 2, [], .success(1)),
    Row(EID.base, 3, [EID.hsm], .success(1)),
    Row(EID.base, 3, [EID.dbcn], .success(1)),
    Row(EID.base, 3, [8], .success(1)),
    Row(EID.base, 3, [9], .success(0)),
    Row(EID.base, 3, [0x504d55], .success(0)),
    Row(EID.base, 4, [], .success(11)),
    Row(EID.base, 5, [], .success(22)),
    Row(EID.base, 6, [], .success(33)),
    Row(EID.base, 7, [], .failure(.notSupported)),
    Row(0x504d55, 0, [], .failure(.notSupported)),
    Row(9, 0, [], .failure(.notSupported)),
    Row(.max, .max, [.max], .failure(.notSupported)),
    Row(EID.time, 0, [77], .success(), ["timer 1 77"]),
    Row(EID.time, 1, [77], .failure(.notSupported)),
    Row(EID.ipi, 0, [0b101, 1], .success(), ["ipi 1", "ipi 3"]),
    Row(EID.ipi, 0, [0, all], .success(), ["ipi 0", "ipi 1", "ipi 2", "ipi 3"]),
    Row(EID.ipi, 0, [0, 0], .success()),
    Row(EID.ipi, 0, [0b10000, 0], .failure(.invalidParam)),
    Row(EID.ipi, 0, [0b1001, 1], .failure(.invalidParam)),
    Row(EID.ipi, 0, [1, 4], .failure(.invalidParam)),
    Row(EID.ipi, 0, [.max, .max - 1], .failure(.invalidParam)),
    Row(EID.ipi, 1, [], .failure(.notSupported)),
    Row(EID.rfence, 0, [1, 2], .success(), ["fencei 2"]),
    Row(EID.rfence, 1, [1, 0, 4096, 8192], .success(), ["sfence 0 4096+8192 -"]),
    Row(EID.rfence, 1, [1, 0, 0, 0], .success(), ["sfence 0 all -"]),
    Row(EID.rfence, 1, [1, 0, 5, .max], .success(), ["sfence 0 all -"]),
    Row(
      EID.rfence, 1, [1, 0, 1 << 63, 1 << 63], .success(),
      ["sfence 0 \(1 << 63 as UInt64)+\(1 << 63 as UInt64) -"]),
    Row(EID.rfence, 1, [1, 0, 1 << 63 | 1, 1 << 63], .failure(.invalidAddress)),
    Row(EID.rfence, 2, [2, 0, 1, 2, 9], .success(), ["sfence 1 1+2 9"]),
    Row(EID.rfence, 2, [16, 0, 1, 2, 9], .failure(.invalidParam)),
    Row(EID.rfence, 3, [2, 0], .failure(.notSupported)),
    Row(EID.rfence, 6, [2, 0], .failure(.notSupported)),
    Row(EID.hsm, 0, [2, entry, 5], .success(), ["start 2 80001000 5"]),
    Row(EID.hsm, 0, [0, entry, 5], .failure(.alreadyAvailable)),
    Row(EID.hsm, 0, [4, entry, 5], .failure(.invalidParam)),
    Row(EID.hsm, 0, [.max, entry, 5], .failure(.invalidParam)),
    Row(EID.hsm, 0, [2, 0x1000_0000, 5], .failure(.invalidAddress)),
    Row(EID.hsm, 0, [2, entry | 1, 5], .failure(.invalidAddress)),
    Row(EID.hsm, 0, [2, .max, 5], .failure(.invalidAddress)),
    Row(EID.hsm, 1, [], .noReturn, ["stop 1"]),
    Row(EID.hsm, 2, [0], .success(0)),
    Row(EID.hsm, 2, [3], .success(1)),
    Row(EID.hsm, 2, [4], .failure(.invalidParam)),
    Row(EID.hsm, 3, [0], .success(), ["suspend 1"]),
    Row(EID.hsm, 3, [0x8000_0000, entry, 6], .noReturn, ["suspend 1 80001000 6"]),
    Row(EID.hsm, 3, [0x8000_0000, 4, 6], .failure(.invalidAddress)),
    Row(EID.hsm, 3, [1], .failure(.invalidParam)),
    Row(EID.hsm, 3, [0x1000_0000], .failure(.invalidParam)),
    Row(EID.hsm, 3, [0x8000_0001], .failure(.invalidParam)),
    Row(EID.hsm, 3, [0x9000_0000], .failure(.invalidParam)),
    Row(EID.hsm, 4, [], .failure(.notSupported)),
    Row(EID.srst, 0, [0, 0], .noReturn, ["reset shutdown false"]),
    Row(EID.srst, 0, [1, 1], .noReturn, ["reset coldReboot true"]),
    Row(EID.srst, 0, [2, 0], .noReturn, ["reset warmReboot false"]),
    Row(EID.srst, 0, [3, 0], .failure(.invalidParam)),
    Row(EID.srst, 0, [0xf000_0000, 0], .failure(.invalidParam)),
    Row(EID.srst, 0, [0, 2], .failure(.invalidParam)),
    Row(EID.srst, 0, [0, 0xe000_0000], .failure(.invalidParam)),
    Row(EID.srst, 1, [0, 0], .failure(.notSupported)),
    Row(EID.dbcn, 0, [0, 5, 5], .success(0)),
    Row(EID.dbcn, 0, [1, 0x7fff_ffff, 0], .failure(.invalidParam)),
    Row(EID.dbcn, 0, [2, 0x800f_ffff, 0], .failure(.invalidParam)),
    Row(EID.dbcn, 0, [.max, 0x8000_0000, 0], .failure(.invalidParam)),
    Row(EID.dbcn, 0, [1, 0x8000_0000, 1], .failure(.invalidParam)),
    Row(EID.dbcn, 1, [1, 0, 0], .failure(.invalidParam)),
    Row(EID.dbcn, 1, [4, 0x8000_0000, 0], .success(0)),
    Row(EID.dbcn, 2, [0x141], .success(0)),
    Row(EID.dbcn, 3, [], .failure(.notSupported)),
    Row(0, 9, [5], .legacy(0), ["timer 1 5"]),
    Row(1, 0, [65], .legacy(0)),
    Row(2, 0, [], .legacy(-1)),
    Row(3, 0, [], .legacy(0)),
    Row(4, 0, [0], .legacy(0), ["ipi 0", "ipi 1", "ipi 2", "ipi 3"]),
    Row(4, 0, [0x8000_1800], .legacy(0), ["ipi 1", "ipi 2"]),
    Row(4, 0, [0x10], .noReturn),
    Row(5, 0, [0x8000_1800], .legacy(0), ["fencei 1", "fencei 2"]),
    Row(6, 0, [0x8000_1800, 1, 2], .legacy(0), ["sfence 1 1+2 -", "sfence 2 1+2 -"]),
    Row(6, 0, [0x8000_1800, .max, 2], .legacy(-5)),
    Row(7, 0, [0x8000_1800, 0, 0, 3], .legacy(0), ["sfence 1 all 3", "sfence 2 all 3"]),
    Row(8, 0, [], .noReturn, ["reset shutdown false"]),
  ]

  @Test(arguments: rows) func answers(_ row: Row) throws {
    let host = try TestSBIHost()
    host.ram.store(0x8000_0800, 0xfff6 as UInt64)
    let sbi = SBI(host: host, mvendorid: 11, marchid: 22, mimpid: 33)
    let result = sbi.call(extension: row.ext, function: row.function, args: row.args, hart: 1)
    #expect(result == row.result)
    #expect(host.log == row.log)
  }

  @Test func console() throws {
    let host = try TestSBIHost()
    let sbi = SBI(host: host)
    host.ram.write(0x8000_0010, Array("out".utf8))
    #expect(
      sbi.call(extension: EID.dbcn, function: 0, args: [3, 0x8000_0010, 0], hart: 0) == .success(3))
    _ = sbi.call(extension: EID.dbcn, function: 2, args: [0x121], hart: 0)
    _ = sbi.call(extension: 1, function: 0, args: [0x3f], hart: 0)
    #expect(host.printed == Array("out!?".utf8))
    host.typed = Array("in".utf8)
    #expect(
      sbi.call(extension: EID.dbcn, function: 1, args: [9, 0x8000_0020, 0], hart: 0) == .success(2))
    #expect(host.ram.bytes(0x8000_0020, 3) == Array("in\0".utf8))
    host.typed = [0xff]
    #expect(sbi.call(extension: 2, function: 0, args: [], hart: 0) == .legacy(255))
    host.pendingIPI = true
    #expect(sbi.call(extension: 3, function: 0, args: [], hart: 0) == .legacy(1))
    #expect(sbi.call(extension: 3, function: 0, args: [], hart: 0) == .legacy(0))
  }

  @Test func randomCalls() throws {
    let host = try TestSBIHost(hartCount: 70)
    let sbi = SBI(host: host)
    var random = TestRandom(state: 3)
    let extensions = [EID.base, EID.time, EID.ipi, EID.rfence, EID.hsm, EID.srst, EID.dbcn]
    for _ in 0..<100_000 {
      let ext = random.next() % 3 == 0 ? random.next() % 16 : extensions[Int(random.next() % 7)]
      let args = (0..<6).map { _ in
        switch random.next() % 4 {
        case 0: random.next()
        case 1: 0x8000_0000 + random.next() % 0x1000
        case 2: UInt64.max - random.next() % 3
        default: random.next() % 100
        }
      }
      _ = sbi.call(extension: ext, function: random.next() % 8, args: args, hart: 69)
      host.log.removeAll(keepingCapacity: true)
      host.printed.removeAll(keepingCapacity: true)
    }
  }
}
