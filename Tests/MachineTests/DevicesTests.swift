import Engine
import Testing

@testable import Machine

/// The devices against what QEMU answers, and where they differ, against the specifications.
@Suite struct DevicesTests {
  struct Recording: Sendable, CustomTestStringConvertible {
    let name: String
    let script: String

    init(_ name: String, _ script: String) {
      self.name = name
      self.script = script
    }

    var testDescription: String { name }
  }

  static let disk = (0..<64 * 512).map { UInt8(truncatingIfNeeded: $0 * 7 + $0 >> 9) }

  @Test(arguments: [
    Recording("clint", QEMUInterruptVectors.clint), Recording("plic", QEMUInterruptVectors.plic),
    Recording("uart", QEMUSerialVectors.uart), Recording("rtc", QEMUSerialVectors.rtc),
  ])
  func answersAsQEMU(_ recording: Recording) throws {
    #expect(try TestBoard().replay(recording.script) == [])
  }

  @Test(arguments: [
    Recording("legacy registers", QEMULegacyVectors.registers),
    Recording("legacy requests", QEMULegacyVectors.requests),
    Recording("modern registers", QEMUModernVectors.registers),
    Recording("modern requests", QEMUModernVectors.requests),
  ])
  func diskAnswersAsQEMU(_ recording: Recording) throws {
    let disk = VirtIOBlock(MemoryBlockBackend(Self.disk), serial: "12345678901234567890")
    let version: VirtIOMMIO.Version = recording.name.hasPrefix("legacy") ? .legacy : .modern
    #expect(try TestBoard(version: version, devices: [disk]).replay(recording.script) == [])
  }

  @Test func clintFollowsTime() throws {
    let board = try TestBoard()
    #expect(board.sink.mip == [0: 0x80, 1: 0x80])
    let wrong = board.replay(
      """
      w8 0x2004000 100
      w8 0x2004008 0xffffffffffffffff
      mip => 0 0
      tick 99
      mip => 0 0
      r8 0x200bff8 => 99
      tick 1
      mip => 0x80 0
      w4 0x2004004 1              # the high word alone
      mip => 0 0
      r8 0x2004000 => 0x100000064
      w8 0x200bff8 0x100000063    # mtime itself
      mip => 0 0
      tick 1
      mip => 0x80 0
      w4 0x200bffc 0
      mip => 0 0
      r4 0x200bff8 => 0x64
      r8 0x2000000 => 0
      w8 0x2000000 0x300000001    # two harts at once
      mip => 0x8 0x8
      r8 0x2000000 => 0x100000001
      r1 0x2000000 => 0
      r4 0x2000008 => 0
      w4 0x2000004 0
      mip => 0x8 0
      """)
    #expect(wrong == [])
  }

  @Test func clintTellsDeadlines() throws {
    let board = try TestBoard()
    board.write(0x200_4000, .max, 8)
    board.write(0x200_4008, .max, 8)
    board.clock.ticks = 1000
    #expect(board.clint.nextDeadline == .max)
    board.write(0x200_bff8, 5, 8)
    #expect(board.clint.nextDeadline == nil)
    board.write(0x200_4008, 50, 8)
    board.write(0x200_4000, 70, 8)
    #expect(board.clint.nextDeadline == 1045)
    #expect(board.clint.tick(ofTime: 8) == 1003)
    #expect(board.clint.tick(ofTime: 2) == 1000)
    #expect(board.clint.tick(ofTime: .max) == nil)
    board.clock.ticks = 1045
    board.clint.update()
    #expect(board.sink.mip[1] == 0x80)
    #expect(board.clint.nextDeadline == 1065)
  }

  @Test func plicAsksWhenItsWireIsSet() throws {
    let wrong = try TestBoard().replay(
      """
      w4 0xc002000 0xffffffff
      r4 0xc002000 => 0xfffffffe  # source 0 does not exist
      w4 0xc000000 7
      r4 0xc000000 => 0
      w4 0xc000180 7              # nor source 96
      r4 0xc000180 => 0
      w4 0xc000014 1
      w4 0xc000018 1
      mip => 0x80 0x80
      line 6 1
      line 5 1
      mip => 0x880 0x80
      r4 0xc001000 => 0x60
      r4 0xc200004 => 5           # the lower source of the same priority
      mip => 0x880 0x80
      r4 0xc200004 => 6
      mip => 0x80 0x80
      r4 0xc200004 => 0
      w4 0xc202004 5              # completion by a context where it is not enabled
      r4 0xc001000 => 0
      w4 0xc200004 5              # its wire is still high: nothing new
      r4 0xc001000 => 0
      mip => 0x80 0x80
      line 5 1                    # set again, though high
      r4 0xc001000 => 0x20
      mip => 0x880 0x80
      line 5 0
      r4 0xc001000 => 0x20        # a request stays until it is claimed
      r4 0xc200004 => 5
      line 5 1
      r4 0xc001000 => 0x20        # during service: pending, and not offered
      mip => 0x80 0x80
      r4 0xc200004 => 0
      w4 0xc200004 7              # completion of what was not claimed
      r4 0xc200004 => 0
      w4 0xc200004 5
      mip => 0x880 0x80
      r4 0xc200004 => 5
      w4 0xc200004 5
      w4 0xc200004 6
      line 6 1
      w4 0xc200000 1              # threshold
      mip => 0x80 0x80
      r4 0xc200004 => 0
      w4 0xc200000 0
      mip => 0x880 0x80
      w4 0xc002000 0
      mip => 0x80 0x80
      """)
    #expect(wrong == [])
  }

  @Test func uartSends() throws {
    let board = try TestBoard()
    let wrong = board.replay(
      """
      w1 0x10000000 0x48
      w1 0x10000001 2             # THRE interrupt at once
      r1 0x10000002 => 2
      r1 0x10000002 => 1          # and reading it ends it
      w1 0x10000000 0x69
      r1 0x10000002 => 2
      r1 0x10000005 => 0x60
      w1 0x10000003 0x83
      w1 0x10000000 1             # divisor
      w1 0x10000001 2
      r1 0x10000000 => 1
      r1 0x10000001 => 2
      w1 0x10000003 3
      r1 0x10000001 => 2
      """)
    #expect(wrong == [])
    #expect(board.console.printed == Array("Hi".utf8))
  }

  @Test func uartReceives() throws {
    let board = try TestBoard()
    board.console.typed = Array("abc".utf8)
    #expect(board.replay("r1 0x10000005 => 0x60") == [])
    board.uart.poll()
    let plain = board.replay(
      """
      r1 0x10000005 => 0x61
      w1 0x10000001 1
      r4 0xc001000 => 0x400
      r1 0x10000002 => 4
      r1 0x10000000 => 0x61
      r1 0x10000000 => 0x62
      r1 0x10000000 => 0x63
      r1 0x10000002 => 1
      r1 0x10000005 => 0x60
      """)
    #expect(plain == [])
    board.console.typed = Array(1...20)
    board.write(0x1000_0002, 0xc7, 1)
    let fifo = board.replay(
      """
      r1 0x10000002 => 0xc4       # at the trigger level of 14
      r1 0x10000000 => 1
      r1 0x10000000 => 2
      """)
    #expect(fifo == [])
    #expect(board.console.typed.count == 2)
    for byte in 3...7 { #expect(board.read(0x1000_0000, 1) == UInt64(byte)) }
    #expect(board.replay("r1 0x10000002 => 0xcc # below it, and the line is idle") == [])
    for byte in 8...20 { #expect(board.read(0x1000_0000, 1) == UInt64(byte)) }
    #expect(board.replay("r1 0x10000002 => 0xc1\nr1 0x10000000 => 0") == [])
  }

  @Test func uartOverruns() throws {
    let board = try TestBoard()
    let wrong = board.replay(
      """
      w1 0x10000004 0x10
      w1 0x10000001 4
      w1 0x10000000 1
      w1 0x10000000 2
      r1 0x10000002 => 6          # line status
      r1 0x10000005 => 0x63
      r1 0x10000005 => 0x61
      r1 0x10000002 => 1
      r1 0x10000000 => 2
      """)
    #expect(wrong == [])
    #expect(board.console.printed == [])
  }

  @Test func finisherEnds() throws {
    let finisher = TestFinisher()
    var seen: [MachineExit] = []
    finisher.onExit = { seen.append($0) }
    for value: UInt64 in [0, 0x5555, 0x1234, 0x7_3333, 0x7777, 0xffff_5555] {
      finisher.write(0, size: 4, value)
    }
    finisher.write(4, size: 4, 0x5555)
    finisher.write(0, size: 1, 0x55)
    finisher.write(0, size: 2, 0x3333)
    #expect(seen == [.pass, .fail(code: 7), .reset, .pass, .fail(code: 0)])
    #expect(finisher.requested == .fail(code: 0))
    #expect(finisher.read(0, size: 4) == 0)
  }

  @Test func rtcRings() throws {
    let board = try TestBoard()
    let start: UInt64 = 1_795_000_000_000_000_000
    #expect(board.read(0x10_1000) == start & 0xffff_ffff)
    board.clock.ticks = 1 << 33
    #expect(board.read(0x10_1004) == start >> 32)
    _ = board.read(0x10_1000)
    #expect(board.read(0x10_1004) == (start &+ 1 << 33) >> 32)
    board.clock.ticks = 0
    let alarm = start + 500
    board.write(0x10_100c, alarm >> 32)
    board.write(0x10_1008, alarm & 0xffff_ffff)
    board.write(0x10_1010, 1)
    #expect(board.rtc.nextDeadline == 500)
    let wrong = board.replay(
      """
      tick 499
      r4 0x101018 => 1
      r4 0xc001000 => 0
      tick 1
      r4 0x101018 => 0
      r4 0xc001000 => 0x800
      w4 0x101000 7
      r4 0x101000 => 7
      w4 0x101004 9
      r4 0x101000 => 7
      r4 0x101004 => 9
      """)
    #expect(wrong == [])
  }
}

/// The host interface of bare tests.
@Suite struct DevicesHTIFTests {
  static let base = BoardMap.ramBase

  static func ram() throws -> PhysicalMemory {
    try #require(PhysicalMemory(base: base, size: 65536))
  }

  @Test(
    arguments: [
      (1, .pass), (3, .fail(test: 1)), (0x53, .fail(test: 41)),
      (0x0101_0000_0000_0041, .write(fd: 1, bytes: [0x41])),
      (0x0101_0000_0000_0000, .write(fd: 1, bytes: [0])), (0x1_0000_0001, .fail(test: 0x8000_0000)),
    ] as [(UInt64, HTIFEvent)])
  func understands(_ value: UInt64, _ event: HTIFEvent) throws {
    let ram = try Self.ram()
    let htif = HTIF(tohost: Self.base, fromhost: Self.base + 8)
    #expect(htif.check(ram) == nil)
    ram.store(Self.base, value)
    #expect(htif.check(ram) == event)
    if value >> 48 == 0x0101 {
      #expect(ram.load(Self.base, as: UInt64.self) == 0)
      #expect(ram.load(Self.base + 8, as: UInt64.self) == 0)
    }
  }

  @Test func waitsForTheOtherHalf() throws {
    let ram = try Self.ram()
    let htif = HTIF(tohost: Self.base, fromhost: nil)
    ram.store(Self.base, UInt32(0x41))
    #expect(htif.check(ram, now: 10) == nil)
    #expect(htif.nextDeadline == 10 + HTIF.settleTicks)
    ram.store(Self.base + 4, UInt32(0x0101_0000))
    #expect(htif.check(ram, now: 14) == .write(fd: 1, bytes: [0x41]))
    #expect(htif.nextDeadline == nil)
    ram.store(Self.base, UInt32(5))
    #expect(htif.check(ram, now: 20) == nil)
    #expect(htif.check(ram, now: 20 + HTIF.settleTicks) == .fail(test: 2))
    ram.store(Self.base, UInt32(1))
    #expect(htif.check(ram, now: 900) == nil)
    htif.noteStore(Self.base + 4, size: 4)
    #expect(htif.check(ram, now: 901) == .pass)
  }

  @Test func servesRequests() throws {
    let ram = try Self.ram()
    let htif = HTIF(tohost: Self.base, fromhost: Self.base + 8)
    let at = Self.base + 64
    func ask(_ words: [UInt64]) -> (HTIFEvent?, Int64?) {
      for (index, word) in words.enumerated() { ram.store(at + 8 * UInt64(index), word) }
      ram.store(Self.base, at)
      ram.store(Self.base + 8, UInt64(0))
      let event = htif.check(ram)
      #expect(ram.load(Self.base, as: UInt64.self) == 0)
      #expect(ram.load(Self.base + 8, as: UInt64.self) == 1)
      return (event, ram.load(at, as: Int64.self))
    }
    ram.write(Self.base + 128, Array("hello".utf8))
    var (event, result) = ask([64, 2, Self.base + 128, 5])
    #expect(event == .write(fd: 2, bytes: Array("hello".utf8)))
    #expect(result == 5)
    for (words, expected) in [
      ([64, 1, Self.base + 128, 65536], -14), ([64, 1, 0, 1], -14),
      ([64, 1, Self.base, .max], -14),
      ([64, 5, Self.base, 1], -9), ([93, 0, 0, 0], -38),
    ] as [([UInt64], Int64)] {
      (event, result) = ask(words)
      #expect(event == nil)
      #expect(result == expected)
    }
    for address: UInt64 in [2, Self.base + 65536 - 16, .max - 1, 0x0100_0000_0000_0000] {
      ram.store(Self.base, address)
      #expect(htif.check(ram) == nil)
      #expect(ram.load(Self.base, as: UInt64.self) == 0)
    }
    #expect(HTIF(tohost: 4, fromhost: .max).check(ram) == nil)
  }
}
