"""`python -m enterprise_gateway`: the same as `jupyter enterprisegateway`."""

from enterprise_gateway.app import main

if __name__ == "__main__":
    main()
