import Probes
import Testing

/// Random and damaged definitions: no trap, and a column for every error.
@Suite struct EventsFuzzTests {
  static let seeds =
    EventsGrammarTests.rows.map(\.text)
    + (EventsErrorTests.kernel + EventsErrorTests.user).map { $0.split.0 }
  static let alphabet = Array("pr:/.+-%@$\\\"()[]=_ 0123456789axubsg^,*\t\u{0}\u{e9}".utf8)
  static let pieces = [
    "p", "r", ":", "/", "vfs_read", "/bin/sh:", "+0(", ")", "%a0", "$arg1", "$stack", "$retval",
    "@", "@+", "\\", "\\\"", "\"", ":u8", ":string", "[4]", "[", "]", "b4@0/8", "=", " ", " ", "-u",
    "+u8(", "99999999999999999999", "-9223372036854775808", "0x", "%return", "(0x10)", "symbol",
  ]

  /// Whether the definition was accepted.
  @discardableResult
  static func check(_ text: String) -> Bool {
    do throws(EventError) {
      let definition = try EventParser.parse(text, EventsWorld.names)
      #expect(!definition.event.isEmpty && definition.event.utf8.count < EventLimits.name)
      var hit = FakeHit()
      hit.isUser = definition.isUser
      hit.registers = ["a0": .max, "a1": 1 << 38 - 1, "sp": 8]
      hit.user = [0: [UInt8](repeating: 0xff, count: 4096)]
      for argument in definition.arguments {
        let value = argument.program.evaluate(hit)
        let record = TraceRecord(
          group: definition.group, event: definition.event, isUser: definition.isUser,
          isReturn: definition.isReturn, comm: [], pid: .min, cpu: .max, time: .max,
          address: .max, returnAddress: 0,
          arguments: [.init(name: argument.name, type: argument.program.type, value: value)])
        for format in TraceFormat.allCases {
          #expect(record.line(format) { FakeHit.symbol($0) }.last == 0x0a)
        }
      }
      return true
    } catch {
      #expect(error.column >= 0 && error.column <= text.utf8.count)
      #expect(error.lines.count == 3)
      #expect(error.lines.allSatisfy { !$0.utf8.contains(0x0a) })
      return false
    }
  }

  @Test(arguments: 0..<4)
  func mutated(_ seed: Int) {
    var random = Generator(state: UInt64(seed) &+ 1)
    var accepted = 0
    for _ in 0..<6000 {
      var bytes = Array(Self.seeds[random.below(Self.seeds.count)].utf8)
      for _ in 0..<(1 + random.below(4)) {
        let at = random.below(bytes.count + 1)
        switch random.below(5) {
        case 0: bytes.insert(Self.alphabet[random.below(Self.alphabet.count)], at: at)
        case 1 where at < bytes.count: bytes.remove(at: at)
        case 2 where at < bytes.count:
          bytes[at] = Self.alphabet[random.below(Self.alphabet.count)]
        case 3: bytes.removeSubrange(at...)
        default:
          let other = Array(Self.seeds[random.below(Self.seeds.count)].utf8)
          bytes += other.dropFirst(random.below(other.count + 1))
        }
      }
      if Self.check(String(decoding: bytes, as: UTF8.self)) { accepted += 1 }
    }
    #expect(accepted > 100)
  }

  @Test(arguments: 0..<4)
  func assembled(_ seed: Int) {
    var random = Generator(state: UInt64(seed) &+ 99)
    for _ in 0..<6000 {
      var text = random.below(2) == 0 ? "p vfs_read " : ""
      for _ in 0..<random.below(12) { text += Self.pieces[random.below(Self.pieces.count)] }
      Self.check(text)
    }
  }

  @Test func randomBytes() {
    var random = Generator(state: 7)
    for _ in 0..<4000 {
      let bytes = (0..<random.below(80)).map { _ in UInt8(truncatingIfNeeded: random.next()) }
      Self.check(String(decoding: bytes, as: UTF8.self))
    }
  }

  struct Generator: RandomNumberGenerator {
    var state: UInt64
    mutating func next() -> UInt64 {
      state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
      var mixed = state ^ state >> 29
      mixed = mixed &* 0xbf58_476d_1ce4_e5b9
      return mixed ^ mixed >> 32
    }
    mutating func below(_ limit: Int) -> Int { Int(next() >> 33) % max(limit, 1) }
  }
}
