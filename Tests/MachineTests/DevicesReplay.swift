import Engine
import Testing

@testable import Machine

/// Time that a test moves.
final class TestClock: BoardClock {
  var ticks: UInt64 = 0
}

/// What the interrupt controllers have set, by hart.
final class TestSink: InterruptSink {
  var mip: [Int: UInt64] = [:]

  func setInterrupt(_ line: RISCVInterruptLine, _ level: Bool, hart: Int) {
    let bit: UInt64 = 1 << UInt64(line.rawValue)
    mip[hart, default: 0] = level ? mip[hart, default: 0] | bit : mip[hart, default: 0] & ~bit
  }
}

/// A console that remembers what was printed and types what it is told.
final class TestConsole: ConsoleSink, ConsoleSource {
  var printed: [UInt8] = []
  var typed: [UInt8] = []

  func write(_ bytes: [UInt8]) { printed += bytes }
  func next() -> UInt8? { typed.isEmpty ? nil : typed.removeFirst() }
}

/// Numbers that are the same in every run.
struct TestRandom: RandomNumberGenerator {
  var state: UInt64

  mutating func next() -> UInt64 {
    state &+= 0x9e37_79b9_7f4a_7c15
    var z = state
    z = (z ^ z >> 30) &* 0xbf58_476d_1ce4_e5b9
    z = (z ^ z >> 27) &* 0x94d0_49bb_1331_11eb
    return z ^ z >> 31
  }
}

/// The board's devices on a bus, without harts.
final class TestBoard {
  let clock = TestClock()
  let sink = TestSink()
  let console = TestConsole()
  let ram: PhysicalMemory
  let bus: Bus
  let clint: CLINT
  let plic: PLIC
  let uart: UART16550
  let rtc: GoldfishRTC
  let finisher = TestFinisher()
  let transports: [VirtIOMMIO]

  init(
    harts: Int = 2, version: VirtIOMMIO.Version = .legacy, devices: [any VirtIODevice] = []
  ) throws {
    ram = try #require(PhysicalMemory(base: BoardMap.ramBase, size: 1 << 20))
    bus = Bus(ram: ram)
    let plic = PLIC(sink: sink, hartCount: harts)
    self.plic = plic
    clint = CLINT(clock: clock, sink: sink, hartCount: harts)
    uart = UART16550(
      wire: InterruptWire(plic, source: BoardMap.uartSource), sink: console, source: console)
    rtc = GoldfishRTC(
      clock: clock, wire: InterruptWire(plic, source: BoardMap.rtcSource),
      start: 1_795_000_000_000_000_000)
    let ram = ram
    transports = (0..<BoardMap.virtIOCount).map { index in
      VirtIOMMIO(
        version: version, device: index < devices.count ? devices[index] : nil, ram: ram,
        wire: InterruptWire(plic, source: BoardMap.virtIOSource(index)))
    }
    for (device, range) in [
      (clint as any Device, BoardMap.clint), (plic, BoardMap.plic), (uart, BoardMap.uart),
      (rtc, BoardMap.rtc), (finisher, BoardMap.finisher),
    ] {
      bus.attach(device, base: range.base, size: range.size)
    }
    for (index, transport) in transports.enumerated() {
      bus.attach(transport, base: BoardMap.virtIO(index).base, size: BoardMap.virtIO(index).size)
    }
  }

  func read(_ pa: UInt64, _ size: Int = 4) -> UInt64 { bus.readDevice(pa, size: size) ?? 0 }
  func write(_ pa: UInt64, _ value: UInt64, _ size: Int = 4) {
    _ = bus.writeDevice(pa, size: size, value)
  }

  private static func digit(_ ascii: UInt8) -> UInt8 { ascii < 58 ? ascii - 48 : ascii - 87 }

  /// Runs a list of accesses, one a line, and gives the lines that went differently.
  ///
  ///     r4 0xc000004 => 0x7     a read and its value
  ///     w4 0xc000004 0x7        a write
  ///     m 0x80001000 00ff       bytes into RAM
  ///     m? 0x80001000 2 => 00ff bytes of RAM
  ///     z 0x80001000 4096       zeroes into RAM
  ///     line 5 1                level of a wire into the PLIC
  ///     tick 100                time goes on
  ///     mip => 0x80 0x80        interrupt lines of the harts
  func replay(_ script: String) -> [String] {
    func number(_ text: Substring) -> UInt64 {
      text.hasPrefix("0x") ? UInt64(text.dropFirst(2), radix: 16) ?? 0 : UInt64(text) ?? 0
    }
    var wrong: [String] = []
    for (index, line) in script.split(separator: "\n").enumerated() {
      let uncommented = line.split(separator: "#", omittingEmptySubsequences: false)[0]
      let words = uncommented.split(separator: " ")
      guard let command = words.first else { continue }
      let size = Int(command.dropFirst()) ?? 0
      switch command {
      case "r1", "r2", "r4", "r8":
        let got = read(number(words[1]), size)
        if got != number(words[3]) {
          wrong.append("\(index + 1): \(line), not 0x\(String(got, radix: 16))")
        }
      case "w1", "w2", "w4", "w8": write(number(words[1]), number(words[2]), size)
      case "z": ram.zero(number(words[1]), number(words[2]))
      case "m":
        var bytes = words[2].utf8.makeIterator()
        var data: [UInt8] = []
        while let high = bytes.next(), let low = bytes.next() {
          data.append(UInt8(Self.digit(high) << 4 | Self.digit(low)))
        }
        ram.write(number(words[1]), data)
      case "m?":
        let data = ram.bytes(number(words[1]), Int(number(words[2]))) ?? []
        let got = data.map { String(Int($0) + 256, radix: 16).dropFirst() }.joined()
        if got != words[4] { wrong.append("\(index + 1): \(line), not \(got)") }
      case "line": plic.setLevel(Int(number(words[1])), words[2] == "1")
      case "tick":
        clock.ticks += number(words[1])
        clint.update()
        rtc.update()
      case "mip":
        let got = (0..<2).map { sink.mip[$0, default: 0] }
        if got != words[2...].map(number) { wrong.append("\(index + 1): \(line), not \(got)") }
      default: wrong.append("\(index + 1): \(line)?")
      }
    }
    return wrong
  }
}
