import Harness
import Testing

/// A seed of a run: what its schedule and its random bytes follow from.
///
/// A type of its own, so that a parameterised test says what its number is.
public struct Seed: Sendable, Hashable, Codable, CustomStringConvertible {
  /// The number.
  public var value: UInt64

  /// A seed.
  public init(_ value: UInt64) { self.value = value }
  /// `seed 17`.
  public var description: String { "seed \(value)" }
}

extension Seed: CustomTestStringConvertible {
  /// `seed 17`.
  public var testDescription: String { description }
}

extension Guest: CustomTestStringConvertible, CustomTestArgumentEncodable {
  /// `riscv64`.
  public var testDescription: String { description }
  /// The name.
  public func encodeTestArgument(to encoder: some Encoder) throws {
    try rawValue.encode(to: encoder)
  }
}

/// Seeds for a parameterised test: `@Test(arguments: Guest.all, Seeds(0..<100))`.
///
/// With `EMU_SEED=17` in the environment it is that seed alone: the line that a failure prints sets it.
public struct Seeds: Sendable, RandomAccessCollection {
  private let range: Range<UInt64>

  /// The seeds of a range, or the one that the environment asks for.
  ///
  /// - Parameter range: the seeds.
  public init(_ range: Range<UInt64>) {
    if let text = Environment.seed, let seed = UInt64(text), seed < .max {
      self.range = seed..<(seed + 1)
    } else {
      self.range = range
    }
  }

  /// 0.
  public var startIndex: Int { 0 }
  /// How many there are.
  public var endIndex: Int { Int(clamping: range.upperBound - range.lowerBound) }
  /// The seed at a place.
  public subscript(_ position: Int) -> Seed {
    precondition(position >= 0 && position < endIndex, "seed \(position) of \(endIndex)")
    return Seed(range.lowerBound + UInt64(position))
  }
}
