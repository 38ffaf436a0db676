import Engine
import Machine
import Probes

/// What is run, on what, with which probes, and what must come of it.
///
/// A value: it can be kept, changed and run again, under as many seeds as one likes. Scenario files
/// (`Docs/scenario-files.md`) are read into the same value.
///
/// ```swift
/// var scenario = Scenario(assembly: """
///   _start: li a0, 40
///           call add
///           li a7, 93
///           ecall
///   add:    addi a0, a0, 2
///           ret
///   """)
/// scenario.probes = ["p:add /asm:add n=%a0"]
/// scenario.expect.exit = .status(42)
/// scenario.expect.hits["add"] = 1
/// ```
public struct Scenario: Sendable {
  /// What is run.
  public enum Subject: Sendable, Equatable {
    /// A text, assembled for the guest; a Linux program is then `/asm` in the guest.
    case assembly(String)
    /// An ELF file of the host; a Linux program is then `/NAME` in the guest.
    case file(String)
    /// An ELF file's bytes, and its name.
    case bytes([UInt8], name: String)
  }

  /// What there is around the program.
  public enum Board: String, Sendable, CaseIterable {
    /// The guest kernel: the program is a Linux program.
    case linux
    /// Nothing: the program brings its own kernel.
    case bare
  }

  /// The machine.
  public struct Machine: Sendable, Equatable {
    /// The instruction set.
    public var guest = Guest.riscv64
    /// What there is around the program.
    public var board = Board.linux
    /// Bytes of RAM.
    public var memory: UInt64 = 64 << 20
    /// How stale caches may be.
    public var caches = CacheModel.coherent
    /// What runs micro-ops.
    public var engine = BackEnd.standard
    /// Bare: the number of harts.
    public var harts = 1
    /// Bare: how the program is entered.
    public var entry = BareImage.EntryMode.auto

    /// One hart, 64 MiB, coherent caches.
    public init() {}
  }

  /// A check where execution comes to a place.
  public struct Stop: Sendable, Equatable {
    /// The place: a symbol of the program or of the guest kernel, with `+N` behind it, or an address.
    public var place: String
    /// The how-many-eth time, from 1.
    public var nth: UInt64
    /// Registers as they are before the instruction there.
    public var registers: [String: UInt64]
    /// Memory as it is then.
    public var memory: [MemoryExpectation]

    /// A check at `place`.
    public init(
      _ place: String, nth: UInt64 = 1, registers: [String: UInt64] = [:],
      memory: [MemoryExpectation] = []
    ) {
      self.place = place
      self.nth = nth
      self.registers = registers
      self.memory = memory
    }
  }

  /// What it is called in reports.
  public var name: String
  /// The machine.
  public var machine = Machine()
  /// What is run.
  public var subject: Subject
  /// The program's arguments, without its name.
  public var arguments: [String] = []
  /// `NAME=value`.
  public var environment: [String] = []
  /// What is typed; the console ends behind it.
  public var input: [UInt8] = []
  /// More files, by their absolute paths in the guest.
  public var files: [String: [UInt8]] = [:]
  /// Probes.
  public var probes: [Probe] = []
  /// Every instruction of the program that takes a probe has one.
  public var probesEveryInsn = false
  /// Mistakes that the probes make on purpose.
  public var legacy: LegacyPolicies = []
  /// Most instructions.
  public var limit: UInt64 = 100_000_000
  /// What must come of it.
  public var expect = Expectations()
  /// Checks on the way.
  public var stops: [Stop] = []
  /// The scenario must fail, with a message that contains this.
  public var expectedFailure: String?

  /// A text that is assembled.
  public init(_ name: String = "scenario", assembly: String) {
    self.init(name, .assembly(assembly))
  }

  /// A scenario that there is for several guests.
  ///
  /// - Parameters:
  ///   - name: what it is called in reports.
  ///   - texts: the text that is assembled for each of them.
  ///   - guest: the one that it runs on; `nil` comes of one that has no text.
  public init?(_ name: String = "scenario", assembly texts: [Guest: String], on guest: Guest) {
    guard let text = texts[guest] else { return nil }
    self.init(name, .assembly(text))
    machine.guest = guest
  }

  /// A scenario that runs `subject`.
  public init(_ name: String = "scenario", _ subject: Subject) {
    self.name = name
    self.subject = subject
  }
}

extension Scenario {
  /// A probe of a scenario.
  public typealias Probe = PlannedProbe
}
