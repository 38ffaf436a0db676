import Engine
import GuestKernel
import Machine

/// A console at which bytes are typed that follow from how many were.
final class FuzzConsole: BareConsole {
  private(set) var written: UInt64 = 0
  private(set) var hash: UInt64 = 0
  private var left = 64

  /// What was printed is part of what comes back.
  var archivedState: [UInt8] {
    get {
      var state = [UInt8](repeating: 0, count: 16)
      state.store64(0, written)
      state.store64(8, hash)
      return state
    }
    set { (written, hash) = (newValue.load64(0), newValue.load64(8)) }
  }

  func write(_ bytes: [UInt8], stream: Int) {
    written &+= UInt64(bytes.count)
    for byte in bytes { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01b3 }
  }

  func next() -> UInt8? { nil }

  func waitForInput() -> Bool { false }
}

/// A world that keeps nothing of what it is told.
final class FuzzHost: HostServices {
  private var random: UInt64
  private(set) var hash: UInt64 = 0
  private var typed = 0

  init(seed: UInt64) { random = seed | 1 }

  /// The generator, what was typed, and what was printed.
  var archivedState: [UInt8] {
    get {
      var state = [UInt8](repeating: 0, count: 24)
      state.store64(0, random)
      state.store64(8, hash)
      state.store64(16, UInt64(typed))
      return state
    }
    set {
      (random, hash) = (newValue.load64(0), newValue.load64(8))
      typed = Int(clamping: newValue.load64(16))
    }
  }

  var startOfRun: UInt64 { 1_600_000_000_000_000_000 }

  func consoleRead(_ count: Int) -> ConsoleInput {
    typed += 1
    return typed > 16 ? .end : .bytes(Array(repeating: 0x61, count: min(max(count, 1), 10)))
  }

  func consoleWrite(_ bytes: [UInt8], stream: Int) -> Errno? {
    for byte in bytes { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01b3 }
    return nil
  }

  func randomBytes(_ count: Int) -> [UInt8] {
    (0..<count).map { _ in
      random ^= random &<< 13
      random ^= random &>> 7
      random ^= random &<< 17
      return UInt8(truncatingIfNeeded: random &>> 32)
    }
  }

  func hostStat(_ path: String) -> HostNode? { nil }
  func hostList(_ path: String) -> [String]? { nil }
  func hostRead(_ path: String, offset: UInt64, count: Int) -> [UInt8]? { nil }
}

/// A machine that runs one program.
struct FuzzProgram {
  let host: FuzzHost
  let machine: ProgramMachine

  init(
    _ file: [UInt8], _ seed: UInt64, arguments: [String] = [], memory: UInt64 = 16 << 20,
    caches: CacheModel = .coherent, engine: BackEnd = .standard, jit: JITOptions = JITOptions()
  ) throws {
    host = FuzzHost(seed: seed)
    var configuration = ProgramConfiguration()
    configuration.memory = memory
    configuration.cacheModel = caches
    configuration.engine = engine
    configuration.jit = jit
    machine = try ProgramMachine(configuration, host: host) { false }
    try machine.kernel.vfs.installProgram(Path("/bin/program"), HostBytes(file))
    try machine.start(
      BootRequest(
        path: Array("/bin/program".utf8),
        arguments: (["program"] + arguments).map { Array($0.utf8) },
        environment: [Array("A=b".utf8)]))
  }
}

extension Hart {
  /// Everything that the guest can see of it.
  ///
  /// The machine sets how far its time is ahead of the hart's count when the hart has its turn.
  var visible: [UInt64] {
    let slots = [0..<Slot.temp, Slot.fp..<Slot.pending, Slot.system..<Slot.total]
    let timeOffset = Slot.system + 25
    return slots.joined().map { $0 == timeOffset ? 0 : x[$0] } + [
      count, pc, x[Slot.exceptions], x[Slot.reservation],
    ]
  }
}
